"""Read what a job of Harbor has left, by Harbor's own models: runs in Harbor's Python, prints JSON.

read_job.py JOB_FOLDER
"""

import json
import sys
from pathlib import Path

from harbor.models.trajectories import Trajectory
from harbor.models.trial.result import TrialResult
from harbor.utils.trajectory_utils import compute_model_usage
from pydantic import ValidationError


def read_trial(folder: Path) -> dict[str, object]:
    result = TrialResult.model_validate_json((folder / "result.json").read_text(encoding="utf-8"))
    context, verdict, exception = result.agent_result, result.verifier_result, result.exception_info
    return {
        "task": result.task_name.rpartition("/")[2],
        "agent": result.config.agent.name or result.config.agent.env.get("LABEL", result.agent_info.name),
        "version": result.agent_info.version,
        "reward": verdict.rewards.get("reward") if verdict and verdict.rewards else None,
        "reward_valid": result.reward_valid,
        "exception": exception.exception_type if exception else None,
        "message": exception.exception_message if exception else None,
        "context": context.model_dump(mode="json") if context else {},
        "seconds": (result.finished_at - result.started_at).total_seconds() if result.finished_at and result.started_at else None,
        "folder": str(folder),
        **read_trajectory(folder / "agent" / "trajectory.json"),
    }


def read_trajectory(path: Path) -> dict[str, object]:
    if not path.exists():
        return {"atif": None, "atif_problem": "there is none"}
    try:
        trajectory = Trajectory.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        return {"atif": None, "atif_problem": str(error)}
    usage = {name: each.model_dump(mode="json") for name, each in compute_model_usage(trajectory).items()}
    return {"atif": trajectory.to_json_dict(), "atif_usage": usage, "atif_problem": None}


if __name__ == "__main__":
    print(json.dumps([read_trial(path.parent) for path in sorted(Path(sys.argv[1]).glob("*/result.json"))]))
