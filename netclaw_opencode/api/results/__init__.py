# Made by scripts/generate_api.py from skill.yaml, schemas/ and netclaw_opencode/errors.py. Change those, then run it.
"""The results of actions, as frozen dataclasses; each is made when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netclaw_opencode.api._results import Result

if TYPE_CHECKING:
    from netclaw_opencode.api.results.abort_session import AbortSessionChild, AbortSessionResult
    from netclaw_opencode.api.results.apply_work import ApplyWorkResult
    from netclaw_opencode.api.results.cancel_batch import CancelBatchResult
    from netclaw_opencode.api.results.check_availability import (
        CheckAvailabilityApi,
        CheckAvailabilityApiDrift,
        CheckAvailabilityBinary,
        CheckAvailabilityProblem,
        CheckAvailabilityProviders,
        CheckAvailabilityResult,
        CheckAvailabilityServer,
    )
    from netclaw_opencode.api.results.check_policy import CheckPolicyByPattern, CheckPolicyResult, CheckPolicyRule
    from netclaw_opencode.api.results.cleanup import CleanupResult, CleanupSession, CleanupSkipped
    from netclaw_opencode.api.results.create_session import CreateSessionResult
    from netclaw_opencode.api.results.delete_session import DeleteSessionResult, Stopped, StoppedChild
    from netclaw_opencode.api.results.discard_work import DiscardWorkResult
    from netclaw_opencode.api.results.doctor import DoctorCheck, DoctorCounts, DoctorResult
    from netclaw_opencode.api.results.explain import ExplainCall, ExplainResult
    from netclaw_opencode.api.results.export_batch import ExportBatchResult
    from netclaw_opencode.api.results.get_batch import BatchResult
    from netclaw_opencode.api.results.get_batch_results import BatchItem, BatchResultsResult
    from netclaw_opencode.api.results.get_session_result import SessionMessage, SessionResult
    from netclaw_opencode.api.results.get_session_status import (
        SessionState,
        SessionStateLastTurn,
        SessionStatusResult,
        SessionStatusSkipped,
    )
    from netclaw_opencode.api.results.install_opencode import InstallOpencodeResult
    from netclaw_opencode.api.results.list_batches import Batch, ListBatchesResult
    from netclaw_opencode.api.results.list_providers import ListProvidersProvider, ListProvidersProviderModel, ListProvidersResult
    from netclaw_opencode.api.results.list_sessions import ListSessionsResult
    from netclaw_opencode.api.results.list_work import ListWorkResult, ListWorkWork
    from netclaw_opencode.api.results.pause_batch import PauseBatchResult
    from netclaw_opencode.api.results.recover import RecoverLost, RecoverResult, RecoverServer, RecoverSkipped
    from netclaw_opencode.api.results.reply_permission import ReplyPermissionResult
    from netclaw_opencode.api.results.reply_question import ReplyQuestionResult
    from netclaw_opencode.api.results.report import ReportResult, ReportTask
    from netclaw_opencode.api.results.retry_batch import RetryBatchResult
    from netclaw_opencode.api.results.run_batch import RunBatchResult
    from netclaw_opencode.api.results.run_plan_and_implement import (
        RunPlanAndImplementAttempt,
        RunPlanAndImplementCleanup,
        RunPlanAndImplementResult,
    )
    from netclaw_opencode.api.results.run_task import (
        CheckReport,
        CheckReportRun,
        RunTaskAttempt,
        RunTaskCleanup,
        RunTaskMessage,
        RunTaskResult,
        RunTaskStatement,
    )
    from netclaw_opencode.api.results.send_message import SendMessageMessage, SendMessageResult
    from netclaw_opencode.api.results.send_message_async import SendMessageAsyncResult
    from netclaw_opencode.api.results.shared import (
        Answered,
        BatchCounts,
        Changes,
        ChangesIgnoredChanged,
        ChangesPatch,
        Evidence,
        FileChanged,
        ModelUsed,
        Pending,
        Question,
        RunningItem,
        Session,
        ThinkingUsed,
        ToolCall,
        Turn,
        TurnMessage,
        Usage,
        Work,
    )
    from netclaw_opencode.api.results.start_server import StartServerResult
    from netclaw_opencode.api.results.stop_server import StopServerResult
    from netclaw_opencode.api.results.submit_batch import SubmitBatchResult
    from netclaw_opencode.api.results.verify_work import VerifyWorkResult, VerifyWorkRun
    from netclaw_opencode.api.results.wait_for_batch import WaitForBatchResult
    from netclaw_opencode.api.results.wait_for_session import WaitForSessionProgress, WaitForSessionResult
    from netclaw_opencode.api.results.watch_events import WatchEventsEvent, WatchEventsResult

HOMES: Mapping[str, str] = {
    "AbortSessionChild": "abort_session",
    "AbortSessionResult": "abort_session",
    "Answered": "shared",
    "ApplyWorkResult": "apply_work",
    "Batch": "list_batches",
    "BatchCounts": "shared",
    "BatchItem": "get_batch_results",
    "BatchResult": "get_batch",
    "BatchResultsResult": "get_batch_results",
    "CancelBatchResult": "cancel_batch",
    "Changes": "shared",
    "ChangesIgnoredChanged": "shared",
    "ChangesPatch": "shared",
    "CheckAvailabilityApi": "check_availability",
    "CheckAvailabilityApiDrift": "check_availability",
    "CheckAvailabilityBinary": "check_availability",
    "CheckAvailabilityProblem": "check_availability",
    "CheckAvailabilityProviders": "check_availability",
    "CheckAvailabilityResult": "check_availability",
    "CheckAvailabilityServer": "check_availability",
    "CheckPolicyByPattern": "check_policy",
    "CheckPolicyResult": "check_policy",
    "CheckPolicyRule": "check_policy",
    "CheckReport": "run_task",
    "CheckReportRun": "run_task",
    "CleanupResult": "cleanup",
    "CleanupSession": "cleanup",
    "CleanupSkipped": "cleanup",
    "CreateSessionResult": "create_session",
    "DeleteSessionResult": "delete_session",
    "DiscardWorkResult": "discard_work",
    "DoctorCheck": "doctor",
    "DoctorCounts": "doctor",
    "DoctorResult": "doctor",
    "Evidence": "shared",
    "ExplainCall": "explain",
    "ExplainResult": "explain",
    "ExportBatchResult": "export_batch",
    "FileChanged": "shared",
    "InstallOpencodeResult": "install_opencode",
    "ListBatchesResult": "list_batches",
    "ListProvidersProvider": "list_providers",
    "ListProvidersProviderModel": "list_providers",
    "ListProvidersResult": "list_providers",
    "ListSessionsResult": "list_sessions",
    "ListWorkResult": "list_work",
    "ListWorkWork": "list_work",
    "ModelUsed": "shared",
    "PauseBatchResult": "pause_batch",
    "Pending": "shared",
    "Question": "shared",
    "RecoverLost": "recover",
    "RecoverResult": "recover",
    "RecoverServer": "recover",
    "RecoverSkipped": "recover",
    "ReplyPermissionResult": "reply_permission",
    "ReplyQuestionResult": "reply_question",
    "ReportResult": "report",
    "ReportTask": "report",
    "RetryBatchResult": "retry_batch",
    "RunBatchResult": "run_batch",
    "RunPlanAndImplementAttempt": "run_plan_and_implement",
    "RunPlanAndImplementCleanup": "run_plan_and_implement",
    "RunPlanAndImplementResult": "run_plan_and_implement",
    "RunTaskAttempt": "run_task",
    "RunTaskCleanup": "run_task",
    "RunTaskMessage": "run_task",
    "RunTaskResult": "run_task",
    "RunTaskStatement": "run_task",
    "RunningItem": "shared",
    "SendMessageAsyncResult": "send_message_async",
    "SendMessageMessage": "send_message",
    "SendMessageResult": "send_message",
    "Session": "shared",
    "SessionMessage": "get_session_result",
    "SessionResult": "get_session_result",
    "SessionState": "get_session_status",
    "SessionStateLastTurn": "get_session_status",
    "SessionStatusResult": "get_session_status",
    "SessionStatusSkipped": "get_session_status",
    "StartServerResult": "start_server",
    "StopServerResult": "stop_server",
    "Stopped": "delete_session",
    "StoppedChild": "delete_session",
    "SubmitBatchResult": "submit_batch",
    "ThinkingUsed": "shared",
    "ToolCall": "shared",
    "Turn": "shared",
    "TurnMessage": "shared",
    "Usage": "shared",
    "VerifyWorkResult": "verify_work",
    "VerifyWorkRun": "verify_work",
    "WaitForBatchResult": "wait_for_batch",
    "WaitForSessionProgress": "wait_for_session",
    "WaitForSessionResult": "wait_for_session",
    "WatchEventsEvent": "watch_events",
    "WatchEventsResult": "watch_events",
    "Work": "shared",
}
__all__ = [
    "AbortSessionChild",
    "AbortSessionResult",
    "Answered",
    "ApplyWorkResult",
    "Batch",
    "BatchCounts",
    "BatchItem",
    "BatchResult",
    "BatchResultsResult",
    "CancelBatchResult",
    "Changes",
    "ChangesIgnoredChanged",
    "ChangesPatch",
    "CheckAvailabilityApi",
    "CheckAvailabilityApiDrift",
    "CheckAvailabilityBinary",
    "CheckAvailabilityProblem",
    "CheckAvailabilityProviders",
    "CheckAvailabilityResult",
    "CheckAvailabilityServer",
    "CheckPolicyByPattern",
    "CheckPolicyResult",
    "CheckPolicyRule",
    "CheckReport",
    "CheckReportRun",
    "CleanupResult",
    "CleanupSession",
    "CleanupSkipped",
    "CreateSessionResult",
    "DeleteSessionResult",
    "DiscardWorkResult",
    "DoctorCheck",
    "DoctorCounts",
    "DoctorResult",
    "Evidence",
    "ExplainCall",
    "ExplainResult",
    "ExportBatchResult",
    "FileChanged",
    "InstallOpencodeResult",
    "ListBatchesResult",
    "ListProvidersProvider",
    "ListProvidersProviderModel",
    "ListProvidersResult",
    "ListSessionsResult",
    "ListWorkResult",
    "ListWorkWork",
    "ModelUsed",
    "PauseBatchResult",
    "Pending",
    "Question",
    "RecoverLost",
    "RecoverResult",
    "RecoverServer",
    "RecoverSkipped",
    "ReplyPermissionResult",
    "ReplyQuestionResult",
    "ReportResult",
    "ReportTask",
    "Result",
    "RetryBatchResult",
    "RunBatchResult",
    "RunPlanAndImplementAttempt",
    "RunPlanAndImplementCleanup",
    "RunPlanAndImplementResult",
    "RunTaskAttempt",
    "RunTaskCleanup",
    "RunTaskMessage",
    "RunTaskResult",
    "RunTaskStatement",
    "RunningItem",
    "SendMessageAsyncResult",
    "SendMessageMessage",
    "SendMessageResult",
    "Session",
    "SessionMessage",
    "SessionResult",
    "SessionState",
    "SessionStateLastTurn",
    "SessionStatusResult",
    "SessionStatusSkipped",
    "StartServerResult",
    "StopServerResult",
    "Stopped",
    "StoppedChild",
    "SubmitBatchResult",
    "ThinkingUsed",
    "ToolCall",
    "Turn",
    "TurnMessage",
    "Usage",
    "VerifyWorkResult",
    "VerifyWorkRun",
    "WaitForBatchResult",
    "WaitForSessionProgress",
    "WaitForSessionResult",
    "WatchEventsEvent",
    "WatchEventsResult",
    "Work",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
        return found


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
