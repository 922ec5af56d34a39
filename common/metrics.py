"""What Prometheus counts. Labels are bounded: models, statuses, views and methods that exist."""

from __future__ import annotations

import time
from typing import Any

from django.http.response import HttpResponseBase
from django_prometheus.middleware import Metrics
from prometheus_client import Counter, Gauge, Histogram

turns_total = Counter(
    "parley_turns_total", "Turns that ended, by status and model.", ["status", "model"]
)
first_token_seconds = Histogram(
    "parley_first_token_seconds",
    "Seconds from a turn's start to its first text.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
)
tokens_total = Counter("parley_tokens_total", "Tokens used, by kind.", ["kind"])
active_streams = Gauge("parley_active_streams", "Open event streams.", multiprocess_mode="livesum")
active_sockets = Gauge("parley_active_sockets", "Open WebSockets.", multiprocess_mode="livesum")
nudges_lost_total = Counter("parley_nudges_lost_total", "Nudges that could not be sent.")
loop_lag_seconds = Gauge(
    "parley_event_loop_lag_seconds",
    "The longest the event loop kept anyone waiting in the last seconds.",
    multiprocess_mode="livemax",
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MODELS_AT_MOST = 100
_models: set[str] = set()


def model_label(name: str) -> str:
    """`name`, or "other" once a hundred models were seen: personal ones are without number."""
    if name not in _models:
        if len(_models) >= _MODELS_AT_MOST:
            return "other"
        _models.add(name)
    return name


class HttpMetrics:
    """django-prometheus's `django_http_*`, observed without its middleware.

    Its two classes cost four thread hops a request, label with whatever method was sent, and
    raise on a Content-Length that is no number.
    """

    def __init__(self) -> None:
        self.metrics: Any = Metrics.get_instance()

    def begin(self, request: Any) -> None:
        request.measured_since = time.perf_counter()
        self.metrics.requests_total.inc()
        self.metrics.requests_by_method.labels(method=_method(request)).inc()

    def end(self, request: Any, response: HttpResponseBase) -> None:
        match = getattr(request, "resolver_match", None)
        view = (match.view_name if match else "") or "<unnamed view>"
        method, status = _method(request), str(response.status_code)
        seconds = time.perf_counter() - request.measured_since
        metrics = self.metrics
        metrics.responses_total.inc()
        metrics.responses_by_status.labels(status=status).inc()
        metrics.responses_by_status_view_method.labels(
            status=status, view=view, method=method
        ).inc()
        metrics.requests_latency_by_view_method.labels(view=view, method=method).observe(seconds)
        metrics.requests_latency_before.observe(seconds)
        if response.streaming:
            metrics.responses_streaming.inc()


def _method(request: Any) -> str:
    return request.method if request.method in _METHODS else "<invalid method>"
