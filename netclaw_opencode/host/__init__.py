"""The reference host: loads plugins, lends them one driver, and runs their actions."""

from netclaw_opencode.host.plugin_host import OWN_PLUGIN, Host, HostProblem

__all__ = ["OWN_PLUGIN", "Host", "HostProblem"]
