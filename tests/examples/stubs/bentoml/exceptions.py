"""https://docs.bentoml.com/en/latest/reference/bentoml/exceptions.html, of bentoml 1.4.40."""

from http import HTTPStatus


class BentoMLException(Exception):  # noqa: N818
    error_code = HTTPStatus.INTERNAL_SERVER_ERROR


class InvalidArgument(BentoMLException):
    error_code = HTTPStatus.BAD_REQUEST
