"""A Django application beside hubcast: it signs in its users, and gives each a token. hubcast only verifies tokens.

    pip install django pyjwt
    TOKEN_SECRET="$(cat token.secret)" python app.py runserver 8000

The secret is the one in the configuration of hubcast: see ../hub.toml."""

import os
import sys
import time
from pathlib import Path

import jwt
from django.conf import settings
from django.http import HttpResponse, HttpResponseForbidden
from django.urls import path

settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", os.urandom(32).hex()),
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
)

HUB = os.environ.get("HUBCAST_URL", "http://127.0.0.1:8080")
PAGE = (Path(__file__).parent.parent / "application.html").read_text().replace("HUB", HUB)


def sign_in(request, user):
    """Stands for the login that an application has."""
    request.session["user"] = user
    return HttpResponse(PAGE)


def token(request):
    """The token of who is signed in: it says who that is, and what it may do, for a quarter of an hour."""
    user = request.session.get("user")
    if user is None:
        return HttpResponseForbidden("sign in first")
    claims = {"sub": user, "aud": "hub", "exp": int(time.time()) + 900, "subscribe": ["news", "room.{user}.>"]}
    return HttpResponse(jwt.encode(claims, os.environ["TOKEN_SECRET"].strip(), algorithm="HS256"), content_type="text/plain")


urlpatterns = [path("as/<str:user>", sign_in), path("token", token)]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
