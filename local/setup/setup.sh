#!/bin/sh
# Sets up what a command of the Makefile needs on this machine:
#
#   setup.sh <what>      looks, and installs what is missing
#   setup.sh -n <what>   only looks, in silence; status 1 if anything is missing
#
# <what> is a target of the Makefile, or servers: what a Go test may need.
# This is the only list of what the repository needs beside make.
#
# Packages of the system are installed by apt-get, on Debian and Ubuntu and as
# root only. Elsewhere one sentence names all that is missing. Everything else
# is pinned and stays below the build folder:
#
#   build/python   Python packages of requirements.txt, where the system's own
#                  Python lacks them
#   build/node     Node.js and npm of local/setup/node/package-lock.json, where
#                  the system's Node.js is too old for web/
#
# Variables, for other machines and for tests:
#
#   CHROMIUM           path of the browser; the Makefile finds Debian's and Ubuntu's
#   SETUP_BUILD        the build folder; default build
#   SETUP_OS_RELEASE   the file that names the system; default /etc/os-release
#   XDG_CACHE_HOME     where DynamoDB Local is kept, see local/aws; default ~/.cache
set -eu
cd "$(dirname "$0")/../.."
build=${SETUP_BUILD:-build}
os_release=${SETUP_OS_RELEASE:-/etc/os-release}
case $build in /*) ;; *) build=$PWD/$build ;; esac
PATH=$build/node/bin:$PATH

install=yes
if [ "${1-}" = -n ]; then
	install=no
	shift
fi
case ${1-} in
unit) needs="go" ;;
web) needs="npm node" ;;
web-test) needs="go compiler java moto dynamodb npm node chromium font" ;;
run | bench) needs="go compiler java moto dynamodb npm node" ;;
servers) needs="go compiler java moto lint dynamodb" ;;
test) needs="go compiler java moto lint dynamodb npm node chromium font" ;;
*)
	echo "usage: setup.sh [-n] run|bench|unit|servers|web|web-test|test" >&2
	exit 2
	;;
esac

# The functions and the vendor's library are programs for Linux.
linux="run bench servers test"
case " $linux " in
*" $1 "*)
	if [ "$(uname -s)" != Linux ]; then
		if [ $install = yes ]; then echo "This runs programs for Linux: use Linux, WSL2 or a container. make ready, layer, cost and deploy work here." >&2; fi
		exit 1
	fi
	;;
esac

say() { if [ $install = yes ]; then echo "$@"; fi; }

fail() {
	if [ $install = yes ]; then echo "$@" >&2; fi
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# lack notes what is missing, as a person calls it, and its packages.
lack() {
	case ", $missing," in *", $1,"*) return 0 ;; esac
	missing=${missing:+$missing, }$1
	shift
	packages="$packages${*:+ $*}"
}

# system is debian, ubuntu or empty.
system() {
	ids=$(sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' "$os_release" 2>/dev/null | tr -d '"' | tr '\n' ' ')
	case " $ids" in
	*" ubuntu "*) echo ubuntu ;;
	*" debian "*) echo debian ;;
	esac
}

# accepted is true if a Python has these packages: name version name version ...
accepted() {
	python=$1
	shift
	"$python" -c '
import re, sys
from importlib.metadata import version
numbers = lambda v: [int(n) for n in re.findall(r"\d+", v)[:3]]
for name, least in zip(sys.argv[1::2], sys.argv[2::2]):
    if numbers(version(name)) < numbers(least):
        sys.exit(1)
' "$@" 2>/dev/null
}

# python_packages looks for packages in build/python, if that is there, or else
# in the system's Python. local/aws chooses in the same way.
python_packages() {
	if [ -e "$build/python" ]; then
		cmp -s requirements.txt "$build/python/requirements.txt" && return 0
	elif have python3 && accepted python3 "$@"; then
		return 0
	fi
	fetch_python=yes
	if ! have python3; then
		lack "Python 3.11 or newer with venv" python3 python3-venv
	elif ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		lack "Python 3.11 or newer with venv" python3 python3-venv
	elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		lack "Python's venv" python3-venv
	fi
}

# dynamodb_local is the folder that local/aws keeps DynamoDB Local in: its name
# follows from the digest that dynamodb.go pins.
dynamodb_local() {
	digest=$(sed -n 's/^[[:space:]]*npmIntegrity *= "\(.*\)"$/\1/p' local/aws/dynamodb.go)
	have sha256sum || return 0
	echo "${XDG_CACHE_HOME:-${HOME-}/.cache}/yunduo-archive/dynamodb-local-$(printf %s "$digest" | sha256sum | cut -c1-12)"
}

node_accepted() {
	have node && node -e '
const [a, b] = process.versions.node.split(".").map(Number);
process.exit(a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

look() {
	missing='' packages='' fetch_python=no fetch_node=no
	for need in $needs; do
		case $need in
		go)
			have go || lack "Go (go.dev/doc/install)"
			;;
		compiler)
			have cc || lack "a C compiler" gcc libc6-dev
			;;
		java)
			# The compiler too: local/aws compiles a launcher that keeps
			# DynamoDB Local on the loopback address.
			{ have java && have javac; } || lack "a JDK" default-jdk-headless
			;;
		moto)
			python_packages moto 5.2 flask 2.2 flask-cors 0
			;;
		lint)
			python_packages cfn-lint 1.51 aws-sam-translator 1.110
			;;
		dynamodb)
			[ -d "$(dynamodb_local)" ] || have npm || lack npm npm
			;;
		npm)
			have npm || lack npm npm
			;;
		node)
			if have npm && ! node_accepted; then
				case $(uname -s)-$(uname -m) in
				Linux-x86_64 | Linux-aarch64) fetch_node=yes ;;
				*) lack "Node.js 20.19 or 22.12 or newer" ;;
				esac
			fi
			;;
		chromium)
			if [ -n "${CHROMIUM-}" ]; then
				[ -x "$CHROMIUM" ] || fail "CHROMIUM is $CHROMIUM: want the path of an executable file."
			elif ! have chromium-headless-shell && ! have chromium && ! have chromium-browser && ! have google-chrome; then
				if [ "$(system)" = ubuntu ]; then
					lack Chromium chromium-browser
				else
					lack Chromium chromium-headless-shell # a window takes a third of the processor time
				fi
			fi
			;;
		font)
			{ have fc-list && [ -n "$(fc-list :lang=zh 2>/dev/null)" ]; } || lack "a Chinese font" fontconfig fonts-wqy-zenhei
			;;
		esac
	done
}

look
if [ -n "$missing" ] && [ $install = yes ] && [ -n "$packages" ] && [ -n "$(system)" ] && have apt-get; then
	command="apt-get install -y --no-install-recommends$packages"
	if [ "$(id -u)" != 0 ]; then
		fail "Missing: $missing. Run as root: apt-get update && $command"
	fi
	say "installing with apt-get:$packages ..."
	apt-get update -qq || fail "apt-get update failed; missing: $missing."
	# shellcheck disable=SC2086 # one word for each package
	DEBIAN_FRONTEND=noninteractive $command -qq </dev/null || fail "apt-get install failed; missing: $missing."
	hash -r
	look
fi
[ -z "$missing" ] || fail "Missing: $missing. Install all of these, then run the command again."
if [ $install = no ]; then
	[ $fetch_python$fetch_node = nono ] || exit 1
	exit 0
fi

# What is made below the build folder appears whole or not at all: a crash
# leaves a folder of another name behind, which the next run removes.
if [ $fetch_python = yes ]; then
	say "installing Python packages (requirements.txt) in $build/python ..."
	rm -rf "$build/python" "$build/python.new"
	mkdir -p "$build"
	if ! { python3 -m venv "$build/python.new" &&
		"$build/python.new/bin/python3" -m pip install --quiet --disable-pip-version-check -r requirements.txt; }; then
		rm -rf "$build/python.new"
		fail "The Python packages of requirements.txt could not be installed in $build/python: see above."
	fi
	cp requirements.txt "$build/python.new/"
	mv "$build/python.new" "$build/python"
fi
if [ $fetch_node = yes ]; then
	say "installing Node.js (local/setup/node) in $build/node ..."
	rm -rf "$build/node" "$build/node.new"
	mkdir -p "$build/node.new/bin"
	cp local/setup/node/package.json local/setup/node/package-lock.json "$build/node.new/"
	if ! (cd "$build/node.new" && npm ci --loglevel=error --no-audit --no-fund --ignore-scripts); then
		rm -rf "$build/node.new"
		fail "Node.js could not be installed in $build/node: see above."
	fi
	for program in "$build/node.new"/node_modules/node-linux-*/bin/node; do
		ln -s "../${program#"$build/node.new/"}" "$build/node.new/bin/node"
	done
	ln -s ../node_modules/npm/bin/npm-cli.js "$build/node.new/bin/npm"
	mv "$build/node.new" "$build/node"
fi
