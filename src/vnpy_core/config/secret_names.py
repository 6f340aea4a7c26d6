"""How a setting whose value is a secret is told: by its name."""

import re

# Settings are named by the gateways' authors, in English or Chinese: passwords, keys, tokens, authorisation codes.
SECRET_NAME = re.compile(r"pass|pwd|secret|key|token|auth|code|pin\b|密码|密钥|私钥|授权|认证|口令|令牌", re.IGNORECASE)
