"""The side bar's words, for templates."""

from __future__ import annotations

from django import template

from config import admin_site

register = template.Library()
register.filter("by_side_bar", admin_site.way)
