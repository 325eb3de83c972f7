import rainbow

with rainbow.Client.from_settings() as client:
    (digest,) = client.put_inputs([b"3\n1\n2\n"])
    spec = rainbow.JobSpec(
        command="sort numbers.txt > sorted.txt", inputs={"numbers.txt": digest}, outputs=("sorted.txt",)
    )
    jobid = client.submit_job(spec).jobid
    for _ in client.watch_jobs([jobid]):
        pass
    print([(file.name, file.size) for file in client.list_files(jobid)])
    print(b"".join(client.read_file(jobid, "sorted.txt")))
