#!/usr/bin/env bash
# What the GitHub action and the GitLab template run: switchback check, with the reports that they show.
# DIR, SCRATCH, FROM, SINCE and ARGS say what is checked; empty ones say nothing.
set -uo pipefail
out=${RUNNER_TEMP:-$PWD}
args=(--dir "${DIR:-.}" --format text --format "sarif=$out/switchback.sarif" --format "markdown=$out/switchback.md" --format "junit=$out/switchback.xml" --format "gitlab=$out/switchback.gitlab.json")
[ -n "${SCRATCH:-}" ] && args+=(--scratch "$SCRATCH")
[ -n "${FROM:-}" ] && args+=(--from "$FROM")
[ -n "${SINCE:-}" ] && args+=(--since "$SINCE")
[ -n "${GITHUB_ACTIONS:-}" ] && args+=(--format "github=$out/switchback.github")
read -ra more <<<"${ARGS:-}"
switchback check "${args[@]}" ${more[@]+"${more[@]}"}
code=$?
[ -f "$out/switchback.github" ] && cat "$out/switchback.github"
[ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -f "$out/switchback.md" ] && cat "$out/switchback.md" >>"$GITHUB_STEP_SUMMARY"
[ -n "${GITHUB_OUTPUT:-}" ] && printf 'sarif=%s\nmarkdown=%s\n' "$out/switchback.sarif" "$out/switchback.md" >>"$GITHUB_OUTPUT"
exit $code
