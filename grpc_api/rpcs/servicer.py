from grpc_api.rpcs.clusters import ClusterRpcs
from grpc_api.rpcs.connectivity import ConnectivityRpcs
from grpc_api.rpcs.credentials import CredentialRpcs
from grpc_api.rpcs.groups import GroupRpcs
from grpc_api.rpcs.inputs import InputRpcs
from grpc_api.rpcs.jobs import JobRpcs
from grpc_api.rpcs.leaks import LeakRpcs
from grpc_api.rpcs.login import LoginRpcs
from grpc_api.rpcs.output import OutputRpcs
from grpc_api.rpcs.people import PeopleRpcs
from grpc_api.rpcs.queue import QueueRpcs
from grpc_api.rpcs.registration import RegistrationRpcs
from grpc_api.rpcs.reporting import ReportingRpcs
from grpc_api.rpcs.server_state import ServerState
from grpc_api.rpcs.submission import SubmissionRpcs
from grpc_api.rpcs.wishes import WishRpcs


class RainbowServicer:
    """One method for each RPC, of the same name. `batch` is the most calls of one kind that share a transaction."""

    def __init__(self, server: ServerState, *, registration_secret: str, batch: int) -> None:
        registration = RegistrationRpcs(server, registration_secret=registration_secret)
        self.Register = registration.Register

        submission = SubmissionRpcs(server, batch=batch)
        self.SubmitJob = submission.SubmitJob
        self.SubmitJobs = submission.SubmitJobs
        self.SubmitJobStream = submission.SubmitJobStream
        self.ResubmitJobs = submission.ResubmitJobs

        inputs = InputRpcs(server)
        self.PutInputs = inputs.PutInputs
        self.GetInput = inputs.GetInput

        queue = QueueRpcs(server, batch=batch)
        self.RequestJobs = queue.RequestJobs
        self.AcceptJobs = queue.AcceptJobs

        self.ReportJobs = ReportingRpcs(server, batch=batch).ReportJobs

        jobs = JobRpcs(server)
        self.GetJobs = jobs.GetJobs
        self.ListJobs = jobs.ListJobs
        self.WatchJobs = jobs.WatchJobs
        self.CancelJobs = jobs.CancelJobs
        self.SummarizeJobs = jobs.SummarizeJobs
        self.SignalJobs = jobs.SignalJobs

        output = OutputRpcs(server)
        self.ReadOutput = output.ReadOutput
        self.SendOutput = output.SendOutput

        self.AwaitWishes = WishRpcs(server).AwaitWishes

        groups = GroupRpcs(server)
        self.GetGroup = groups.GetGroup
        self.ListGroups = groups.ListGroups
        self.CancelGroup = groups.CancelGroup

        self.ListClusters = ClusterRpcs(server).ListClusters

        people = PeopleRpcs(server)
        self.WhoAmI = people.WhoAmI
        self.ListTokens = people.ListTokens
        self.CreateToken = people.CreateToken
        self.RevokeToken = people.RevokeToken

        self.RevokeLeaked = LeakRpcs(server).RevokeLeaked

        login = LoginRpcs(server)
        self.BeginLogin = login.BeginLogin
        self.CollectLogin = login.CollectLogin

        credentials = CredentialRpcs(server)
        self.RotateCredential = credentials.RotateCredential
        self.ResumeCluster = credentials.ResumeCluster

        connectivity = ConnectivityRpcs(server)
        self.Serial = connectivity.Serial
        self.Stream = connectivity.Stream
