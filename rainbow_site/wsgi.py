import os

from django.core.wsgi import get_wsgi_application

from rainbow_site.web.charset import read_as_utf8

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rainbow_site.settings")

application = read_as_utf8(get_wsgi_application())
