"""All options of sbatch (1), and what becomes of each. docs/sbatch.md has the same table; a test compares them."""

from dataclasses import dataclass
from enum import StrEnum

from rainbow.slurm_commands.command_line import Option, Takes


class Fate(StrEnum):
    TRANSLATED = "translated"
    LEFT_OUT = "left out"  # with a warning
    NEEDLESS = "needless"  # it changes nothing, and is taken without a word
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class SbatchOption(Option):
    """`text` says what it becomes, why it is left out or needless, or what to say in its place."""

    fate: Fate
    text: str
    variable: str = ""

    @property
    def spelled(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


_NO = Takes.NOTHING
_PERHAPS = Takes.PERHAPS


def _translated(names: str, text: str, variable: str = "", takes: Takes = Takes.VALUE) -> SbatchOption:
    return _option(names, Fate.TRANSLATED, text, variable, takes)


def _left_out(names: str, text: str, variable: str = "", takes: Takes = Takes.VALUE) -> SbatchOption:
    return _option(names, Fate.LEFT_OUT, text, variable, takes)


def _needless(names: str, text: str, variable: str = "", takes: Takes = Takes.VALUE) -> SbatchOption:
    return _option(names, Fate.NEEDLESS, text, variable, takes)


def _refused(names: str, text: str, variable: str = "", takes: Takes = Takes.VALUE) -> SbatchOption:
    return _option(names, Fate.REFUSED, text, variable, takes)


def _option(names: str, fate: Fate, text: str, variable: str, takes: Takes) -> SbatchOption:
    """`names` is the option, and behind a blank its letter if it has one."""
    name, _, short = names.partition(" ")
    return SbatchOption(name=name, short=short, fate=fate, text=text, variable=variable, takes=takes)


PLACEMENT = "which cores and sockets tasks get is for `srun` in the script"
NODES_BY_NAME = "clusters do not tell the names of their nodes; ask for features with -C, or for facts with --need"
OPTIONS = (
    _translated("nodes N", "how many nodes; of a range both ends must be the same"),
    _translated("ntasks n", "how many tasks; without -N they are on one node"),
    _translated("ntasks-per-node", "tasks, times the nodes; with -n and without -N it says how many nodes"),
    _translated("cpus-per-task c", "cores of each task", "SBATCH_CPUS_PER_TASK"),
    _translated("time t", "time limit; `0` and `UNLIMITED` set none", "SBATCH_TIMELIMIT"),
    _translated("mem", "memory of each node; all of it (`0`) is refused", "SBATCH_MEM_PER_NODE"),
    _translated("mem-per-cpu", "memory of each node, by the cores of its tasks", "SBATCH_MEM_PER_CPU"),
    _translated("mem-per-gpu", "memory of each node, by its GPUs", "SBATCH_MEM_PER_GPU"),
    _translated("gpus G", "GPUs of each task, where they spread evenly over the tasks", "SBATCH_GPUS"),
    _translated("gpus-per-node", "GPUs of each task, where those of a node spread evenly", "SBATCH_GPUS_PER_NODE"),
    _translated("gpus-per-task", "GPUs of each task", "SBATCH_GPUS_PER_TASK"),
    _translated("gres", "`gpu:TYPE:N` as --gpus-per-node; other kinds are refused", "SBATCH_GRES"),
    _translated("exclusive", "whole nodes; `=user` and `=mcs` are refused", "SBATCH_EXCLUSIVE", _PERHAPS),
    _translated("account A", "account", "SBATCH_ACCOUNT"),
    _translated("partition p", "partition", "SBATCH_PARTITION"),
    _translated("qos q", "qos", "SBATCH_QOS"),
    _translated("constraint C", "constraint, as it stands", "SBATCH_CONSTRAINT"),
    _translated("reservation", "reservation", "SBATCH_RESERVATION"),
    _translated("job-name J", "name; the script's if not said", "SBATCH_JOB_NAME"),
    _translated("output o", "the script's output goes into this file at the cluster", "SBATCH_OUTPUT"),
    _translated("error e", "the same for its errors", "SBATCH_ERROR"),
    _translated("open-mode", "`append` or `truncate`, of these files", "SBATCH_OPEN_MODE"),
    _translated("array a", "a group, a job for each index; `%N` lets N run at once", "SBATCH_ARRAY_INX"),
    _translated("dependency d", "`afterok`, `afterany` and `afternotok`; others are refused"),
    _translated("export", "environment; nothing is exported if not said", "SBATCH_EXPORT"),
    _translated("chdir D", "working directory at the cluster; the job's own folder if not said"),
    _translated("wrap", "a command in place of a script"),
    _translated("signal", "`B:SIGNAL@SECONDS` with -t; without `B:` it is left out", "SBATCH_SIGNAL"),
    _translated("requeue", "tried again when a node fails or it is preempted", "SBATCH_REQUEUE", _NO),
    _translated("no-requeue", "not tried again, as if nothing were said", "SBATCH_NO_REQUEUE", _NO),
    _translated("nice", "a lower priority: 1 to 100 below that of others", takes=_PERHAPS),
    _translated("comment", "label `comment`"),
    _translated("wckey", "label `wckey`", "SBATCH_WCKEY"),
    _translated("clusters M", "one name: that of the cluster or pool", "SBATCH_CLUSTERS"),
    _translated("wait W", "exits as the job does; of an array, with 1 if a task failed", "SBATCH_WAIT", _NO),
    _translated("parsable", "prints the id alone", takes=_NO),
    _translated("quiet Q", "prints nothing but errors", takes=_NO),
    _translated("test-only", "prints the job in JSON, and submits none", takes=_NO),
    _translated("kill-on-invalid-dep", "`yes`, which holds here; `no` is refused"),
    _left_out("mail-type", "no mail is sent; webhooks tell programs, and `rainbow watch` waits"),
    _left_out("mail-user", "no mail is sent; webhooks tell programs, and `rainbow watch` waits"),
    _needless("verbose v", "nothing more is told", "SBATCH_DEBUG", _NO),
    _needless("ignore-pbs", "`#PBS` lines are never read", "SBATCH_IGNORE_PBS", _NO),
    _needless("no-kill k", "that a node failed ends the job, or not, by the cluster", "SBATCH_NO_KILL", _PERHAPS),
    _needless("oversubscribe s", "whether nodes are shared is for the partition", takes=_NO),
    _needless("spread-job", "over which nodes it spreads is for the scheduler", "SBATCH_SPREAD_JOB", _NO),
    _needless("use-min-nodes", "as many nodes as -N says are used", "SBATCH_USE_MIN_NODES", _NO),
    _refused("acctg-freq", "how often usage is sampled is for the cluster", "SBATCH_ACCTG_FREQ"),
    _refused("batch", "ask for features of all nodes with -C", "SBATCH_BATCH"),
    _refused("bb", "burst buffers are unknown; stage files in the script"),
    _refused("bbf", "burst buffers are unknown; stage files in the script"),
    _refused("begin b", "jobs begin as soon as they can; submit it later, by cron(8) say"),
    _refused("cluster-constraint", "say what the cluster must have with --need"),
    _refused("container", "say the image with `rainbow submit --image`", "SBATCH_CONTAINER"),
    _refused("contiguous", "which nodes it gets is for the scheduler", takes=_NO),
    _refused("core-spec S", "cores of the system are for the cluster", "SBATCH_CORE_SPEC"),
    _refused("cores-per-socket", PLACEMENT),
    _refused("cpu-freq", "frequencies are for `srun --cpu-freq` in the script"),
    _refused("cpus-per-gpu", "say the cores of each task with -c", "SBATCH_CPUS_PER_GPU"),
    _refused("deadline", "say until when it may wait with `rainbow submit --expires`"),
    _refused("delay-boot", "whether nodes are booted is for the cluster", "SBATCH_DELAY_BOOT"),
    _refused("distribution m", PLACEMENT, "SBATCH_DISTRIBUTION"),
    _refused("exclude x", NODES_BY_NAME),
    _refused("export-file", "name the variables with --export=NAME=VALUE"),
    _refused("extra-node-info B", PLACEMENT),
    _refused("get-user-env", "begin the script with `#!/bin/bash -l`", "SBATCH_GET_USER_ENV", _PERHAPS),
    _refused("gid", "the cluster decides as whom jobs run"),
    _refused("gpu-bind", "say it to `srun` in the script", "SBATCH_GPU_BIND"),
    _refused("gpu-freq", "say it to `srun` in the script", "SBATCH_GPU_FREQ"),
    _refused("gpus-per-socket", "say --gpus-per-node"),
    _refused("gres-flags", "which cores go with which GPUs is for the cluster", "SBATCH_GRES_FLAGS"),
    _refused("hint", PLACEMENT, "SBATCH_HINT"),
    _refused("hold H", "submit it when it may run", takes=_NO),
    _refused("input i", "send the file with --input-file, and read it in the script", "SBATCH_INPUT"),
    _refused("licenses L", "licenses are unknown here; ask for a fact of the cluster with --need"),
    _refused("mcs-label", "labels of MCS are for the cluster"),
    _refused("mem-bind", "say it to `srun` in the script", "SBATCH_MEM_BIND"),
    _refused("mincpus", "say the cores of each task with -c"),
    _refused("network", "say it to `srun` in the script", "SBATCH_NETWORK"),
    _refused("nodefile F", NODES_BY_NAME),
    _refused("nodelist w", NODES_BY_NAME),
    _refused("ntasks-per-core", PLACEMENT),
    _refused("ntasks-per-gpu", "say --gpus-per-task"),
    _refused("ntasks-per-socket", PLACEMENT),
    _refused("overcommit O", "say as many tasks with -n as there are cores", "SBATCH_OVERCOMMIT", _NO),
    _refused("power", "power management is for the cluster", "SBATCH_POWER"),
    _refused("prefer", "features that are only wished for are unknown; -C names those that must be there"),
    _refused("priority", "say it with `rainbow submit --priority`, from -100 to 100, or a --nice"),
    _refused("profile", "profiles are for the cluster", "SBATCH_PROFILE"),
    _refused("propagate", "this machine's limits are not those of the cluster; say `ulimit` in the script",
             takes=_PERHAPS),
    _refused("reboot", "whether nodes are booted is for the cluster", takes=_NO),
    _refused("sockets-per-node", PLACEMENT),
    _refused("switches", "which nodes it gets is for the scheduler", "SBATCH_REQ_SWITCH"),
    _refused("thread-spec", "threads of the system are for the cluster", "SBATCH_THREAD_SPEC"),
    _refused("threads-per-core", PLACEMENT, "SBATCH_THREADS_PER_CORE"),
    _refused("time-min", "a job has one time limit; say it with -t"),
    _refused("tmp", "space on disks is unknown here; ask for a fact of the cluster with --need"),
    _refused("uid", "the cluster decides as whom jobs run"),
    _refused("wait-all-nodes", "wait for the nodes in the script", "SBATCH_WAIT_ALL_NODES"),
)  # fmt: skip
BY_NAME = {option.name: option for option in OPTIONS}
BY_VARIABLE = {option.variable: option for option in OPTIONS if option.variable}
