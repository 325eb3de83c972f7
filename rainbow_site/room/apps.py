from django.contrib.admin.apps import AdminConfig


class RoomConfig(AdminConfig):
    """Django's admin, with our site in place of its own."""

    default_site = "rainbow_site.room.site.RoomSite"
