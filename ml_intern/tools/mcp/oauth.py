"""Signing in to a server (OAuth 2.1): what was granted is kept, renewed by itself, and asked for only by a person.

The protocol (discovery, registration, PKCE, resource indicators, renewal) is that of the `mcp` package. Here is what it
leaves to its user: where tokens are kept, where the browser comes back to, and that nothing opens by itself.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml_intern.services.threads import in_thread
from ml_intern.tools.mcp.callback import Callback, SignInError
from ml_intern.tools.mcp.config import RemoteServer
from ml_intern.tools.mcp.vault import Vault

if TYPE_CHECKING:
    import httpx2
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthToken

log = logging.getLogger(__name__)

CLIENT_NAME = "ml-intern"
SIGN_IN = "it wants you to sign in"


@dataclass(slots=True)
class SignIn:
    """A sign-in that a person has asked for.

    Attributes:
        show_link: Takes the address to open in a browser.
        callback: Where the browser comes back to.
    """

    show_link: Callable[[str], None]
    callback: Callback


class Grant:
    """What a server has granted: tokens, and who we are there. Implements `mcp`'s storage of tokens.

    Args:
        vault: Where it is kept.
        config: The server.
    """

    def __init__(self, vault: Vault, config: RemoteServer) -> None:
        self._vault = vault
        self._config = config
        self._record: dict[str, Any] = {}
        self.provider: OAuthClientProvider | None = None
        self.place = ""

    @property
    def granted(self) -> bool:
        """Whether there are tokens."""
        return "tokens" in self._record

    @property
    def port(self) -> int:
        """The port of the address we are registered with; 0 when there is none yet."""
        return self._config.oauth.callback_port or int(self._record.get("port", 0))

    async def load(self) -> None:
        """Reads what is kept."""
        text = await in_thread(lambda: self._vault.read(self._config.url), name="reading a sign-in")
        try:
            record = json.loads(text) if text else {}
        except ValueError:
            record = {}
        self._record = record if isinstance(record, dict) else {}

    def begin_at(self, port: int) -> None:
        """A registration names the address of the callback, so it does not hold for another one."""
        if port != self.port:
            self._record.pop("client", None)
        self._record["port"] = port

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens, or None."""
        from mcp.shared.auth import OAuthToken

        return OAuthToken.model_validate(self._record["tokens"]) if self.granted else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keeps tokens, with what is needed to renew them in another run."""
        expires_at = time.time() + tokens.expires_in if tokens.expires_in is not None else None
        self._record |= {"tokens": _dump(tokens), "expires_at": expires_at}
        if self.provider is not None:
            context = self.provider.context
            for key, value in (("server", context.oauth_metadata), ("resource", context.protected_resource_metadata)):
                if value is not None:
                    self._record[key] = _dump(value)
        await self._save()

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Who we are there: as configured, else as registered, else None.

        Bound to the authorization server that the first sign-in was made with: one that the server names later gets
        neither the secret of the configuration nor what was granted by the first.
        """
        from mcp.shared.auth import OAuthClientInformationFull

        oauth = self._config.oauth
        if oauth.client_id:
            method = "client_secret_post" if oauth.client_secret else "none"
            return OAuthClientInformationFull(
                client_id=oauth.client_id,
                client_secret=oauth.client_secret or None,
                token_endpoint_auth_method=method,
                issuer=self._record.get("server", {}).get("issuer"),
            )
        client = self._record.get("client")
        return OAuthClientInformationFull.model_validate(client) if client else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keeps a registration."""
        self._record["client"] = _dump(client_info)
        await self._save()

    def restore(self, provider: OAuthClientProvider) -> None:
        """Gives the provider what it would know only after a sign-in: when tokens end, and where they are renewed."""
        from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata

        self.provider = provider
        context = provider.context
        context.token_expiry_time = self._record.get("expires_at")
        if server := self._record.get("server"):
            context.oauth_metadata = OAuthMetadata.model_validate(server)
        if resource := self._record.get("resource"):
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(resource)

    async def forget(self) -> None:
        """Deletes what is kept.

        Raises:
            OSError: It cannot be deleted.
        """
        self._record = {}
        await in_thread(lambda: self._vault.delete(self._config.url), name="forgetting a sign-in")

    async def _save(self) -> None:
        text = json.dumps(self._record)
        try:
            self.place = await in_thread(lambda: self._vault.write(self._config.url, text), name="keeping a sign-in")
        except OSError as error:  # it holds for this run all the same
            log.warning("a sign-in cannot be kept: %s", error)
            self.place = "nowhere, so it ends with this run"


def _dump(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return dumped


async def authentication(
    config: RemoteServer, grant: Grant, sign_in: SignIn | None, on_failed: Callable[[str], None]
) -> httpx2.Auth | None:
    """What adds tokens to requests; None when there are none and nobody has asked to sign in.

    Args:
        config: The server.
        grant: What it has granted, loaded.
        sign_in: The sign-in that a person has asked for.
        on_failed: Called with the reason when only a new sign-in would help.
    """
    if sign_in is None and not grant.granted:
        return None
    from mcp.client.auth import OAuthClientProvider
    from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
    from pydantic import AnyUrl

    if sign_in is not None:
        grant.begin_at(sign_in.callback.port)

    async def open_link(url: str) -> None:
        if sign_in is None:
            on_failed(SIGN_IN)
            raise SignInError(SIGN_IN)
        sign_in.callback.expect(url)
        sign_in.show_link(url)

    async def wait_for_answer() -> AuthorizationCodeResult:
        assert sign_in is not None
        try:
            answer = await sign_in.callback.answer()
        except SignInError as error:
            on_failed(str(error))
            raise
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    back = sign_in.callback.url if sign_in is not None else f"http://127.0.0.1:{grant.port}/callback"
    provider = OAuthClientProvider(
        config.url,
        OAuthClientMetadata(
            client_name=CLIENT_NAME, redirect_uris=[AnyUrl(back)], scope=" ".join(config.oauth.scopes) or None
        ),
        grant,
        open_link,
        wait_for_answer,
    )
    grant.restore(provider)
    return provider
