"""The merged configuration: bundled file, user file, environment, flags. `core/config.py` reads and merges them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ml_intern.core.protocol import Mode

Effort = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class LLMSettings(_Section):
    """How models are reached."""

    transport: Literal["auto", "litellm"] = "auto"
    """`auto` speaks to OpenAI-compatible endpoints directly and to the rest through litellm."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Attempts for one model call, the first included."""
    connect_timeout_s: Annotated[float, Field(gt=0)] = 15.0
    """How long to wait for a connection to the model's server."""
    first_byte_timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """How long to wait for a model to begin its reply."""
    idle_timeout_s: Annotated[float, Field(gt=0)] = 120.0
    """A stream that is silent this long counts as broken off."""
    context_window: Annotated[int, Field(ge=1024)] | None = None
    """Tokens the model takes, where no catalogue knows it."""
    retry_base_s: Annotated[float, Field(ge=0)] = 2.0
    """First wait between attempts; later ones double, with jitter, up to `retry_max_s`."""
    retry_max_s: Annotated[float, Field(gt=0)] = 60.0
    """Longest wait between attempts."""


class ContextSettings(_Section):
    """How the conversation is kept within the model's window."""

    compact_at: Annotated[float, Field(gt=0.1, lt=1.0)] = 0.9
    """Share of the window at which older messages are summarised."""
    tool_output_chars: Annotated[int, Field(ge=1000)] = 25_000
    """Longer tool output is cut in the middle and kept whole in a file."""


class ToolSettings(_Section):
    """Where and how tools act."""

    parallel: Annotated[int, Field(ge=1, le=64)] = 8
    """Tool calls that run at the same time."""
    bash_timeout_s: Annotated[int, Field(ge=1)] = 120
    """Time after which a shell command is ended, unless the agent asks for more."""
    bash_max_timeout_s: Annotated[int, Field(ge=1)] = 36_000
    """The most time the agent may ask for."""
    pass_env: tuple[str, ...] = ()
    """Names of secret variables (`HF_TOKEN`, for example) that programs started by the agent may see."""


class JobSettings(_Section):
    """Compute jobs."""

    backend: Literal["auto", "local", "hub", "slurm"] = "auto"
    """Where jobs run. `auto`: on the Hub with a token, else on this machine."""
    default_timeout: str = "30m"
    """Time limit of a job that asks for none: `30m`, `2h`."""
    namespace: str = ""
    """User or organisation that pays for jobs where a call names none; empty for the token's owner."""
    max_wait_for_start_s: Annotated[float, Field(gt=0)] = 1800.0
    """A job that is still waiting for hardware after this long is no longer watched by the call that started it."""
    require_saving: bool = True
    """Whether a rented training job that saves its model nowhere is refused."""
    local_cpu_slots: Annotated[int, Field(ge=1)] = 2
    """Local jobs without a GPU that run at the same time; further ones wait."""
    local_memory_gb: Annotated[float, Field(gt=0)] | None = None
    """Memory a local job may use; `null`: all there is."""


class SandboxSettings(_Section):
    """Rented sandboxes, where bash, read, write and edit act when `tool_runtime` is `sandbox`."""

    flavor: str = "cpu-basic"
    """Hardware that is rented; /hardware lists it with prices."""
    image: str = "python:3.12"
    """Docker image it starts from."""
    idle_timeout_s: Annotated[int, Field(ge=60)] = 1800
    """A sandbox in which nothing runs is shut down after this long."""
    start_timeout_s: Annotated[float, Field(gt=0)] = 180.0
    """How long to wait for it to start."""
    namespace: str = ""
    """User or organisation that pays; empty for the token's owner."""
    forward_hf_token: bool = False
    """Whether programs in the sandbox may use the Hugging Face token."""
    workdir: str = "/app"
    """Where commands start and relative paths begin."""


class HubSettings(_Section):
    """Repositories on the Hub."""

    private: bool = True
    """Whether new repositories are private unless a call says otherwise."""
    collect_artifacts: bool = False
    """Whether what a session publishes is gathered in a private collection."""


class WebSettings(_Section):
    """Pages of the web."""

    allow_private: bool = False
    """Whether web_fetch may read addresses of this machine and of private networks."""
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 30.0
    """How long to wait for a page."""
    max_wait_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """How long one request to any service may wait because that asks to come back later."""


class SessionSettings(_Section):
    """Logs of earlier sessions."""

    keep_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """A session that nobody has used for so many days goes to the trash at a start. `null`: none ever does."""


class SharingSettings(_Section):
    """Sessions published as traces in a data set of the person's own."""

    enabled: bool = False
    """Whether each session is published when it ends; /share-traces switches it too."""
    repo: Annotated[str, Field(pattern=r"^[^{}\s]*(\{hf_user\})?[^{}\s]*$")] = "{hf_user}/ml-intern-sessions"
    """Data set they go to, private unless the person opens it; `{hf_user}` is the token's owner."""
    format: Literal["claude", "sts"] = "claude"
    """`claude`: as a Claude Code trace, which the Hub shows in full; `sts`: as the Hub's simple traces."""


class ResearchSettings(_Section):
    """The sub-agents that look things up."""

    model: str = ""
    """Model id; empty for the session's. A cheaper one often does."""
    effort: Effort | Literal[""] = ""
    """Reasoning effort; empty for the session's, `high` at most."""
    max_iterations: Annotated[int, Field(ge=1)] | None = None
    """Model calls of one sub-agent, where that is less than its depth allows."""
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Time of one sub-agent, where that is less than its depth allows."""
    max_cost_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """What the model calls of one sub-agent may cost; in any case not more than half of what the cap leaves."""


class SlackDestination(_Section):
    """A Slack channel that messages may go to."""

    provider: Literal["slack"] = "slack"
    """The service."""
    token: Annotated[str, Field(min_length=1, repr=False)]
    """Token of a Slack bot; better as `${NAME}` of an environment variable."""
    channel: Annotated[str, Field(min_length=1)]
    """Id or name of the channel."""
    allow_agent_tool: bool = False
    """Whether the agent's `notify` may write there."""
    allow_auto_events: bool = False
    """Whether the events in `auto_event_types` go there by themselves."""
    username: str = ""
    """Name that messages appear under; empty for the bot's own."""
    icon_emoji: str = ""
    """Emoji beside them, for example `:robot_face:`; empty for the bot's own picture."""


class MessagingSettings(_Section):
    """Who is told of a session from outside of it."""

    enabled: bool = False
    """Whether messages are sent at all; needs a destination."""
    auto_event_types: tuple[Literal["approval_required", "error", "turn_complete"], ...] = (
        "approval_required",
        "error",
        "turn_complete",
    )
    """What destinations that want it are told of by themselves."""
    destinations: dict[Annotated[str, Field(pattern=r"^[a-z0-9._-]+$")], SlackDestination] = Field(default_factory=dict)
    """Slack channels by a name of your choice."""

    @model_validator(mode="after")
    def _somebody_to_tell(self) -> MessagingSettings:
        if self.enabled and not self.destinations:
            raise ValueError("messaging is enabled, but `destinations` names nobody to tell")
        return self


class ApprovalRules(_Section):
    """Standing answers. `tool` or `tool(pattern)`, with a price behind it if wanted; deny beats ask beats allow."""

    allow: tuple[str, ...] = ()
    """What is not asked about, for example `bash(pytest *)` or `hf_jobs ≤ $2`; /allowed shows what counts."""
    ask: tuple[str, ...] = ()
    """What is always asked about."""
    deny: tuple[str, ...] = ()
    """What is refused without asking, for example `bash(git push *)`."""


class MoneySettings(_Section):
    """When a session speaks up about what it spends. The cap itself is `max_cost_usd`."""

    first_warning_usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 5.0
    """Spending at which the first notice comes; the next ones come at twice the sum each time. `null`: none."""
    velocity_share: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 0.5
    """Share of the cap that, spent within 10 minutes, brings a notice. `null`: none."""


class UISettings(_Section):
    """How the app looks and behaves."""

    plain: bool = False
    """The conversation line by line instead of the full-screen app, as `--plain` has it: for screen readers."""

    theme: str = ""
    """Name of a theme; empty for the default, `auto` for dark or light as the terminal is."""
    approval_grace_s: Annotated[float, Field(ge=0, le=5)] = 0.4
    """An approval dialog ignores keys this long, and opens once typing has paused; 0 does neither."""
    bell: bool = True
    """Ring the terminal's bell when an answer is waited for, and when a turn ends unwatched."""
    notices: Literal["off", "away", "always"] = "away"
    """Notices of the desktop, where the terminal can show them. `away`: only while another window has the focus."""
    motion: Literal["full", "reduced"] = "full"
    """`reduced`: nothing turns or slides, and running times tick every few seconds only."""


class Settings(_Section):
    """Everything that can be configured."""

    model_name: str = ""
    """Model id; empty means none is configured."""
    reasoning_effort: Effort = "high"
    """How hard the model thinks; what it does not know is left out."""
    max_iterations: Annotated[int, Field(ge=1)] = 300
    """Model calls in one turn."""
    stream: bool = True
    """Whether replies appear as they are written."""
    mode: Mode = "guarded"
    """`guarded` asks about what is risky or costs, `ask` about any change, `plan` changes nothing, `yolo` asks not."""
    max_cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Spending cap of a session, models and compute together; `null`: none, but for runs that nobody watches."""
    tool_runtime: Literal["local", "sandbox"] = "local"
    """Where bash, read, write and edit act: on this machine, or in a rented sandbox."""
    confirm_cpu_jobs: bool = True
    """Whether jobs on CPU flavors are asked about too."""
    save_sessions: bool = True
    """Whether sessions are kept on disk, to be found, reviewed and gone on with."""
    approvals: ApprovalRules = ApprovalRules()
    llm: LLMSettings = LLMSettings()
    context: ContextSettings = ContextSettings()
    tools: ToolSettings = ToolSettings()
    jobs: JobSettings = JobSettings()
    sandbox: SandboxSettings = SandboxSettings()
    hub: HubSettings = HubSettings()
    web: WebSettings = WebSettings()
    research: ResearchSettings = ResearchSettings()
    messaging: MessagingSettings = MessagingSettings()
    sessions: SessionSettings = SessionSettings()
    sharing: SharingSettings = SharingSettings()
    money: MoneySettings = MoneySettings()
    ui: UISettings = UISettings()
    keys: dict[str, str] = Field(default_factory=dict)
    """Keys by action, for example `{"interrupt": "ctrl+x"}`; `none` for no key."""
    mcpServers: dict[str, dict[str, Any]] = Field(default_factory=dict)  # noqa: N815 - the key MCP clients agree on
    """Servers whose tools join those of the agent."""
