from django.urls import register_converter


class ClusterName:
    regex = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(ClusterName, "cluster")
