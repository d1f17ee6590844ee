"""What each of Exchange's response codes means for people: pure, a code in, a sentence out."""

from typing import NamedTuple

from safelist.collector.failure import Extent, FailureReason, FetchError


class RequestContext(NamedTuple):
    """Whom the request was about and how, for the advice in messages."""

    address: str
    access: str
    account: str
    is_group: bool = False
    authentication: str = ""


BUSY_CODES = frozenset({
    "ErrorServerBusy", "ErrorExceededConnectionCount", "ErrorExceededFindCountLimit", "ErrorTooManyObjectsOpened",
    "ErrorTimeoutExpired", "ErrorInternalServerTransientError", "ErrorConnectionFailed", "ErrorADUnavailable",
    "ErrorConnectionFailedTransientError", "ErrorInsufficientResources", "ErrorNotEnoughMemory", "ErrorRequestAborted",
    "ErrorBatchProcessingStopped",
})  # fmt: skip
"""Response codes that another try may cure (EWS throttling, tables 3 and 4)."""

_DENIED_CODES = frozenset({
    "ErrorImpersonateUserDenied", "ErrorImpersonationDenied", "ErrorImpersonationFailed", "ErrorAccessDenied",
    "ErrorInvalidExchangeImpersonationHeaderData", "ErrorCallerIsInvalidADAccount", "ErrorMailboxLogonFailed",
})  # fmt: skip
_NOT_FOUND_CODES = frozenset({
    "ErrorNonExistentMailbox", "ErrorMailboxNotFound", "ErrorRecipientNotFound", "ErrorInvalidSmtpAddress",
    "ErrorCannotFindUser", "ErrorMissingExchangePrincipal", "ErrorNameResolutionNoResults", "ErrorInvalidMailbox",
    "ErrorNameResolutionNoMailbox", "ErrorMailRecipientNotFound", "ErrorFolderNotFound",
    "ErrorNameResolutionMultipleResults",
})  # fmt: skip
_UNAVAILABLE_CODES = frozenset({
    "ErrorMailboxMoveInProgress", "ErrorMailboxStoreUnavailable", "ErrorMailboxFailover", "ErrorServiceUnavailable",
    "ErrorLocalServerObjectNotFound", "ErrorMailboxConfiguration", "ErrorNoRespondingCASInDestinationSite",
    "ErrorProxyCallFailed", "ErrorProxyRequestProcessingFailed",
})  # fmt: skip
_CREDENTIALS_CODES = frozenset({"ErrorPasswordExpired", "ErrorPasswordChangeRequired"})
_DISABLED_CODE = "ErrorAccountDisabled"
_VERSION_CODES = frozenset({"ErrorInvalidSchemaVersionForMailboxVersion", "ErrorInvalidServerVersion"})
"""A mailbox on a server that is too old; many others may lie there, too."""


def explain(code: str, asked: RequestContext) -> FetchError:
    """The failure that Exchange's response ``code`` means."""
    failure = _explain(code, asked)
    return FetchError(failure.reason, failure.message, code, Extent.ONE if code in _VERSION_CODES else Extent.UNSURE)


def _explain(code: str, asked: RequestContext) -> FetchError:
    if code in _DENIED_CODES:
        return _denied(code, asked)
    if code in BUSY_CODES:
        return FetchError(
            FailureReason.THROTTLED, f"Exchange stayed busy ({code}); lower exchange.workers or run again later"
        )
    if code in _NOT_FOUND_CODES:
        return _not_found(code, asked)
    if code == "ErrorNonPrimarySmtpAddress":
        return FetchError(
            FailureReason.NOT_FOUND, f"not the primary address of a mailbox ({code}); write the primary address"
        )
    if code in _UNAVAILABLE_CODES:
        return FetchError(
            FailureReason.UNAVAILABLE,
            f"the mailbox is being moved or its database is not mounted ({code}); run again later",
        )
    if code == _DISABLED_CODE and not asked.is_group:
        return _disabled(code, asked)
    if code in (*_CREDENTIALS_CODES, _DISABLED_CODE):
        return FetchError(
            FailureReason.CREDENTIALS, f"Exchange refuses the service account ({code}); enable it or renew its password"
        )
    if code == "ErrorItemNotFound":
        return FetchError(FailureReason.UNAVAILABLE, "the rule was replaced while it was being read; run again")
    if code in _VERSION_CODES:
        return FetchError(
            FailureReason.SERVER_ERROR, f"the server is older than Exchange 2013 ({code}); move the mailbox"
        )
    return FetchError(
        FailureReason.SERVER_ERROR,
        f"Exchange answered {code}; look that code up, and at the server's event log, or run again",
    )


def _denied(code: str, asked: RequestContext) -> FetchError:
    account = asked.account or "the service account"
    if asked.is_group:
        right = f"let {account} see the group in the address book, or name its mailboxes in mailboxes.file"
    elif asked.access == "delegate":
        right = f"give it full access: Add-MailboxPermission {asked.address} -User {account} -AccessRights FullAccess"
    else:
        right = (
            "give it the role, with a scope that covers this mailbox: "
            f"New-ManagementRoleAssignment -Role ApplicationImpersonation -User {account} "
            "-CustomRecipientWriteScope SCOPE; or name it in mailboxes.exclude"
        )
    return FetchError(FailureReason.DENIED, f"{account} may not open it ({code}); {right}")


def _disabled(code: str, asked: RequestContext) -> FetchError:
    """A request about a mailbox is made as its owner, whose account it then is; Exchange's words fit both."""
    account = asked.account or "the service account"
    return FetchError(
        FailureReason.DENIED,
        f"its account is disabled ({code}); if its owner left: safelist forget {asked.address}, and take it out of "
        f"[mailboxes] or name it in mailboxes.exclude; if every mailbox says so, enable {account}",
    )


def _not_found(code: str, asked: RequestContext) -> FetchError:
    kind = "group" if asked.is_group else "mailbox"
    advice = (
        "remove it from mailboxes.groups"
        if asked.is_group
        else "correct its address in [mailboxes], or take it out; where it is a member of a group, name it in "
        "mailboxes.exclude"
    )
    return FetchError(FailureReason.NOT_FOUND, f"Exchange has no such {kind} ({code}); {advice}")
