#!/bin/sh
# Bring what the tests need from the system: `tools.sh` the programs, `tools.sh venv PYTHON DIR` a virtual environment
# where Python came without ensurepip (Debian splits it off).
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo -n "$@"; else return 1; fi
}
install() {
    command -v apt-get >/dev/null || return 1
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
        { as_root apt-get update -qq >/dev/null 2>&1 && as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1; }
}

if [ "$1" = venv ]; then
    version=$("$2" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    install "python$version-venv" || { echo "cannot make a virtual environment: install python$version-venv"; exit 1; }
    exec "$2" -m venv "$3"
fi
for program in mosquitto mosquitto_sub openssl chromium; do
    package=$program
    [ $program = mosquitto_sub ] && package=mosquitto-clients
    command -v $program >/dev/null || [ -x /usr/sbin/$program ] || install $package ||
        echo "$program is not here and cannot be installed: its tests are skipped"
done
exit 0
