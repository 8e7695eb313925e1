#!/bin/sh
# One call of Cliq's custom email API with curl: prints the status, then the body.
# CLIQ_ORIGIN, CLIQ_TOKEN, METHOD, and BODY (may be empty) come from the environment.
set -eu
set -- --silent --show-error --request "$METHOD" --write-out '%{stderr}%{http_code}' \
  --url "$CLIQ_ORIGIN/api/v2/mailconfigurations/global" \
  --header "Authorization: Bearer $CLIQ_TOKEN" \
  --header 'content-type: application/json'
if [ -n "${BODY:-}" ]; then
  set -- "$@" --data "$BODY"
fi
curl "$@"
