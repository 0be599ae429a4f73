"""An MCP server that lets in only who has signed in, with the authorization server that says who has."""

from __future__ import annotations

import secrets
import threading
import time
from types import TracebackType
from typing import Self

import httpx
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    IdentityAssertionParams,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from mcp_types import ToolAnnotations
from pydantic import AnyHttpUrl

from tests.support.serving import ServingThread


class People:
    """Who may come in. Implements the library's authorization server.

    Attributes:
        clients: Programs that have registered.
        grants: Access tokens that hold.
        renewed: How often a token was renewed.
        lifetime_s: How long an access token holds.
        refuses: The person says no.
    """

    def __init__(self) -> None:
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.grants: dict[str, AccessToken] = {}
        self.renewed = 0
        self.lifetime_s = 3600
        self.refuses = False
        self._codes: dict[str, AuthorizationCode] = {}
        self._refresh: dict[str, RefreshToken] = {}

    def forget(self) -> None:
        """All who have signed in must do it again."""
        self.grants.clear()
        self._refresh.clear()

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        back = str(params.redirect_uri)
        if self.refuses:
            return construct_redirect_uri(back, error="access_denied", state=params.state)
        code = secrets.token_urlsafe(32)
        self._codes[code] = AuthorizationCode(
            code=code,
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        return construct_redirect_uri(back, code=code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        return self._grant(client, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self._refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        self.renewed += 1
        del self._refresh[refresh_token.token]
        return self._grant(client, scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.grants.get(token)

    async def exchange_identity_assertion(
        self, client: OAuthClientInformationFull, params: IdentityAssertionParams
    ) -> OAuthToken:
        raise TokenError("unsupported_grant_type")

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.grants.pop(token.token, None)

    def _grant(self, client: OAuthClientInformationFull, scopes: list[str], resource: str | None) -> OAuthToken:
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        end = int(time.time()) + self.lifetime_s
        self.grants[access] = AccessToken(
            token=access, client_id=client.client_id, scopes=scopes, expires_at=end, resource=resource
        )
        self._refresh[refresh] = RefreshToken(
            token=refresh, client_id=client.client_id, scopes=scopes, resource=resource
        )
        return OAuthToken(access_token=access, expires_in=self.lifetime_s, refresh_token=refresh)


class SignInServer:
    """Serves on loopback while the block lasts.

    Args:
        registers: Whether programs may register by themselves.
    """

    def __init__(self, *, registers: bool = True) -> None:
        self.people = People()
        self._thread = ServingThread()
        self.origin = self._thread.url
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(self.origin),
            resource_server_url=AnyHttpUrl(self.url),
            validate_token_resource=True,
            client_registration_options=ClientRegistrationOptions(enabled=registers),
        )
        server = MCPServer("closed", auth_server_provider=self.people, auth=auth, subscriptions=None)

        def secret() -> str:
            """Known to those who are in."""
            return "the door is open"

        server.add_tool(secret, annotations=ToolAnnotations(read_only_hint=True))
        self._app = server.streamable_http_app()

    @property
    def url(self) -> str:
        """The address for a configuration."""
        return f"{self.origin}/mcp"

    def __enter__(self) -> Self:
        self._thread.start(self._app, "server to sign in to", log_level="critical")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.stop()


class Browser:
    """Opens addresses as a person's browser does who agrees with everything."""

    def __init__(self) -> None:
        self.visited: list[str] = []
        self.pages: list[str] = []

    def open(self, url: str) -> None:
        """Opens it and follows where it leads."""
        self.visited.append(url)
        threading.Thread(target=self._visit, args=(url,), daemon=True).start()

    def _visit(self, url: str) -> None:
        with httpx.Client(follow_redirects=True, trust_env=False) as client:
            self.pages.append(client.get(url).text)
