# Sourced by scripts/demo and scripts/test: finds a fitting Python and makes .venv with the pinned packages.
# Prints one line per step that takes time; sets PYTHON to the interpreter of .venv.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
step() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

fits() { # an interpreter that is 3.13 or 3.12 and can make environments
  [ -n "$1" ] && [ -x "$1" ] && "$1" -c "
import sys, venv, ensurepip
sys.exit(0 if sys.version_info[:2] == ($2) else 1)" 2>/dev/null
}

find_python() { # 3.13 first: on 3.12 mitmproxy pins an old typing-extensions
  local version minor candidate
  for version in 3.13 3.12; do
    minor=${version#3.}
    for candidate in \
      "$(command -v "python$version" 2>/dev/null)" \
      "$(command -v python3 2>/dev/null)" \
      "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python \
      /opt/homebrew/bin/python"$version" /usr/local/bin/python"$version"; do
      if fits "$candidate" "3, $minor"; then printf '%s\n' "$candidate"; return 0; fi
    done
  done
  return 1
}

make_oldest() { # an environment of its own, with the oldest mitmproxy that pyproject.toml allows; sets OLDEST
  local wanted stamp=.venv-oldest/.llmgate-stamp
  OLDEST=$root/.venv-oldest/bin/python
  wanted=$(cksum <requirements-oldest.txt; "$PYTHON" --version)
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  step "making .venv-oldest with the packages of requirements-oldest.txt (a minute the first time)"
  "$PYTHON" -m venv --clear .venv-oldest || die "could not make .venv-oldest"
  "$OLDEST" -m pip install --quiet --disable-pip-version-check -r requirements-oldest.txt ||
    die "pip could not install the packages of requirements-oldest.txt; its message is above"
  printf '%s' "$wanted" >"$stamp"
}

make_environment() { # make_environment REQUIREMENTS...: creates or updates .venv
  local stamp wanted python args=() file
  cd "$root" || die "cannot enter $root"
  for file in "$@"; do args+=(-r "$file"); done
  stamp=.venv/.llmgate-stamp
  if [ ! -x .venv/bin/python ]; then
    if python=$(find_python); then
      step "making .venv with $("$python" --version 2>&1) ($python)"
      "$python" -m venv .venv || die "could not make .venv; on Debian: apt-get install python3-venv"
    elif command -v uv >/dev/null 2>&1; then
      step "making .venv with uv (Python 3.13)"
      uv venv --quiet --seed --python 3.13 .venv || die "uv could not make .venv"
    else
      die "llmgate needs Python 3.13 or 3.12 with venv (found: $(python3 --version 2>&1 || echo none)).
  Debian/Ubuntu:  apt-get install python3.13 python3.13-venv     macOS:  brew install python@3.13
  or install uv, and this script lets it fetch a Python."
    fi
  fi
  PYTHON=$root/.venv/bin/python
  wanted=$(cat "$@" pyproject.toml | cksum; "$PYTHON" --version)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    if "$PYTHON" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))'; then
      # mitmproxy pins an older typing-extensions there, so the versions pinned for 3.13 do not fit.
      case "$*" in *dev*) die "the tests need Python 3.13 (found 3.12 only); the gateway itself runs on both" ;; esac
      step "installing packages for Python 3.12, not pinned (some minutes the first time)"
      "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable . ||
        die "pip could not install the packages; its message is above"
    else
      step "installing packages from $* (a minute the first time)"
      "$PYTHON" -m pip install --quiet --disable-pip-version-check "${args[@]}" ||
        die "pip could not install the packages; its message is above"
      "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --editable . ||
        die "pip could not install llmgate itself; its message is above"
    fi
    printf '%s' "$wanted" >"$stamp"
  fi
}
