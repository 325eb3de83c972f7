from django.urls import path

from rainbow_site.oidc.views import Begin, Callback, sign_out

urlpatterns = [
    path("oidc/authenticate/", Begin.as_view(), name="oidc_authentication_init"),
    path("oidc/callback/", Callback.as_view(), name="oidc_authentication_callback"),
    # In place of the admin's own.
    path("admin/logout/", sign_out),
    # In place of the people's.
    path("sign-out/", sign_out),
]
