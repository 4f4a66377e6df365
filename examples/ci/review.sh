#!/usr/bin/env bash
# Reviews what a change means for every site, in any pipeline: review.sh <base ref>
# Leaves comment.md (fits into a comment) and report.md (everything). Exit codes: 0 nothing changes, 10 changes, 11 something
# disruptive, 2 a site cannot be read, 1 failed. A pipeline that goes on after 10 and asks a second person after 11 does it right.
set -uo pipefail
base=${1:?the commit or branch that the change is merged into}
npm ci --ignore-scripts --no-audit --no-fund && npm run build || exit 1
npx sitewright review --base "$base" --report report.md >comment.md
code=$?
cat comment.md
exit "$code"
