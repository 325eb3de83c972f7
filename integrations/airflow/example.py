"""A DAG of two tasks: a job, and one that waits for it once more. `python example.py` runs it."""

from airflow.sdk import DAG
from rainbow_airflow import RainbowJobSensor, RainbowOperator

with DAG("rainbow_example") as dag:
    simulate = RainbowOperator(
        task_id="simulate", command="echo $((6 * 7))", spec={"name": "simulate", "time_limit_seconds": 60}
    )
    seen = RainbowJobSensor(task_id="seen", jobid="{{ ti.xcom_pull(task_ids='simulate') }}")
    simulate >> seen

if __name__ == "__main__":
    dag.test()
