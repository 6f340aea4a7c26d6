"""``/login``: where a one-time login link leads; sets a password, and shows an API key or tokens to begin with."""

import base64
import hashlib

from fastapi import APIRouter
from starlette.responses import HTMLResponse

_SCRIPT = """
const $ = (id) => document.getElementById(id);
const link = new URLSearchParams(location.hash.slice(1)).get("token");
history.replaceState(null, "", location.pathname);
for (const id of link ? ["with-name"] : ["with-link"]) $(id).hidden = true;
async function post(path, body, token) {
  const headers = {"content-type": "application/json"};
  if (token) headers.authorization = "Bearer " + token;
  const response = await fetch("/api/v1/auth/" + path, {method: "POST", headers, body: JSON.stringify(body)});
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("said").textContent = "";
  try {
    const password = $("password").value;
    const tokens = link
      ? await post("login-link", {token: link, password})
      : await post("login", {
          username: $("username").value, password, ...($("totp").value ? {totp: $("totp").value} : {}),
        });
    $("said").textContent = "Welcome, " + tokens.username + ". The access token, good for "
      + Math.round(tokens.expires_in / 60) + " minutes:";
    $("token").textContent = tokens.access_token;
    document.querySelector("form").hidden = true;
    $("next").hidden = false;
  } catch (error) {
    $("said").textContent = error.message;
  }
});
"""
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34em; margin: 12vh auto; padding: 0 1em; }
label { display: block; margin: .8em 0; } input { font: inherit; width: 100%; padding: .3em; }
button { font: inherit; padding: .3em 1.2em; } code { word-break: break-all; }
"""
_PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>VnPy Core</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>VnPy Core</h1>
<form>
<p id="with-link">Choose a password, of 10 characters or more. 请设置密码，至少 10 个字符。</p>
<div id="with-name">
<label>User 用户名 <input id="username" autocomplete="username"></label>
<label>Code, if a second factor is set up 动态验证码（如已启用）
<input id="totp" inputmode="numeric" autocomplete="one-time-code"></label>
</div>
<label>Password 密码 <input id="password" type="password" required></label>
<button>Log in 登录</button>
</form>
<p id="said" role="status"></p>
<p><code id="token"></code></p>
<p id="next" hidden>Paste it into <a href="/docs">the documentation</a> under “Authorize”. For programs:
<code>vnpy-core token create NAME</code>. 可在接口文档的 “Authorize” 中使用；程序请使用 API 密钥。</p>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def content_policy(script: str, *, style: str) -> dict[str, str]:
    """Return the header by which a page of ours runs this script, and nothing that came into it by mistake."""
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; script-src 'self' {_hash(script)}; style-src 'self' {style}; img-src 'self' data:; "
            "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    }


def create_login_router() -> APIRouter:
    """Return the route."""
    router = APIRouter(include_in_schema=False)
    headers = content_policy(_SCRIPT, style=_hash(_STYLE))

    @router.get("/login")
    async def login_page() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers=headers)

    return router
