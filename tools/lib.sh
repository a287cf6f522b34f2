# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Helpers that the scripts in tools/ share. Source it after "set -euo pipefail".

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
AIA_CACHE=${AIA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/riscv-aia}
# shellcheck disable=SC2034 # used by the scripts that source this file
AIA_BUILD=$REPO/build
export AIA_CACHE

# The series that a tree gets, and what it is for.
# shellcheck disable=SC2034 # used by the scripts that source this file
AIA_SERIES=$REPO/patches/linux-7.3
# shellcheck disable=SC2034
AIA_VERSION=7.3
# The place of the repository in a kernel tree.
# shellcheck disable=SC2034
AIA_LINK=drivers/irqchip/riscv-aia

info() {
	echo ":: $*" >&2
}

die() {
	echo "error: $1" >&2
	shift
	local line
	for line in "$@"; do
		echo "       $line" >&2
	done
	exit 1
}

# What the comment at the top of a script says.
usage() {
	sed -n '4,/^$/s/^# \{0,1\}//p' "$0"
}

# arguments LEAST MOST "$@": so many, and no option; the usage otherwise.
arguments() {
	local least=$1 most=$2 word
	shift 2
	for word in "$@"; do
		case $word in
		-h | --help)
			usage
			exit
			;;
		-*)
			usage >&2
			exit 2
			;;
		esac
	done
	if [ $# -lt "$least" ] || [ $# -gt "$most" ]; then
		usage >&2
		exit 2
	fi
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# version_ge HAVE WANT: compares dotted versions.
version_ge() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# need_space DIR GIB WHAT: fails early instead of in the middle of a long step.
need_space() {
	local dir=$1 gib=$2 what=$3 free
	while [ ! -d "$dir" ]; do
		dir=$(dirname "$dir")
	done
	free=$(df -Pk "$dir" | awk 'NR == 2 { print int($4 / 1048576) }')
	if [ "$free" -lt "$gib" ]; then
		die "$what needs about $gib GiB in $dir, $free GiB are free" \
			"free some space, or point AIA_CACHE to another file system"
	fi
}

# with_lock NAME COMMAND...: two runs at once must not make the same thing.
with_lock() {
	local name=$1
	shift
	mkdir -p "$AIA_CACHE"
	(
		if ! flock -n 9; then
			info "waiting for another run that makes $name"
			flock 9
		fi
		# The command must not keep the lock in what it leaves behind.
		"$@" 9>&-
	) 9>"$AIA_CACHE/.lock-$name"
}

# logged WHAT USUAL LOG COMMAND...: lines of progress while a long command
# writes to LOG; the end of LOG when it fails. With V=1 the output is shown.
logged() {
	local what=$1 usual=$2 log=$3 start=$SECONDS pid rc=0 tick=0 took
	shift 3
	mkdir -p "$(dirname "$log")"
	info "$what (usually $usual; log: ${log#"$REPO"/})"
	if [ "${V:-0}" = 1 ]; then
		"$@" 2>&1 | tee "$log" >&2 || rc=$?
	else
		"$@" >"$log" 2>&1 </dev/null &
		pid=$!
		while kill -0 "$pid" 2>/dev/null; do
			sleep 1
			tick=$((tick + 1))
			took=$((SECONDS - start))
			if [ -t 2 ]; then
				printf '\r   %d:%02d, %d lines' $((took / 60)) \
					$((took % 60)) "$(wc -l <"$log")" >&2
			elif [ $((tick % 60)) = 0 ]; then
				echo "   $what: $((took / 60)) min, $(wc -l <"$log") lines" >&2
			fi
		done
		wait "$pid" || rc=$?
		if [ -t 2 ]; then
			printf '\r\033[K' >&2
		fi
	fi
	took=$((SECONDS - start))
	if [ "$rc" != 0 ]; then
		if [ "${V:-0}" != 1 ]; then
			# With -j the reason is often far above the end.
			grep -nE '(^|[ :])(fatal )?error(\[E[0-9]+\])?: |\*\*\* \[' \
				"$log" | head -n 20 >&2 || true
			echo "   ..." >&2
			tail -n 30 "$log" >&2
		fi
		die "$what failed after $took s" "the whole log: $log"
	fi
	if [ "$took" -ge 5 ]; then
		info "$what: done in $took s"
	fi
}

# The version of a kernel tree ("7.3.4"), empty if it is none.
kernel_version() {
	[ -f "$1/Makefile" ] || return 0
	awk -F ' *= *' '
		/^VERSION *=/ { v = $2 }
		/^PATCHLEVEL *=/ { p = $2 }
		/^SUBLEVEL *=/ { s = $2; exit }
		END { if (v != "" && p != "") print v "." p "." s }
	' "$1/Makefile"
}

check_kernel_tree() {
	local version
	[ -d "$1" ] || die "there is no directory $1" \
		"KSRC= takes the top of a Linux $AIA_VERSION tree"
	version=$(kernel_version "$1")
	case $version in
	"$AIA_VERSION".*)
		;;
	"")
		die "$1 is no kernel tree (no version in its Makefile)" \
			"KSRC= takes the top of a Linux $AIA_VERSION tree"
		;;
	*)
		die "$1 is Linux $version, this needs $AIA_VERSION.y" \
			"check out v$AIA_VERSION or one of its stable releases" \
			"or leave KSRC= out: the source is then fetched"
		;;
	esac
}

# The mirror that this machine's apt uses for Debian itself; empty if unknown.
debian_mirror() {
	have apt-get || return 0
	# shellcheck disable=SC2016 # apt's own placeholders
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(CODENAME)' \
		'Created-By: Packages' 2>/dev/null |
		awk '$1 == "Debian" && $3 !~ /security/ { print $2; exit }'
}

debian_keyring() {
	local k
	for k in /usr/share/keyrings/debian-archive-keyring.gpg \
		/usr/share/keyrings/debian-archive-keyring.pgp; do
		if [ -e "$k" ]; then
			echo "$k"
			return
		fi
	done
	die "the keys of the Debian archive are missing" \
		"install the package debian-archive-keyring"
}

# models_of DIR: prints a directory with the same crate, whose loom is that of
# patches/loom-*. A directory of its own has its own Cargo.lock, too.
models_of() {
	local models=$AIA_BUILD/models/${1##*/} loom=$AIA_BUILD/models/loom
	local patch=("$REPO"/patches/loom-*/*.patch) from name
	rm -rf "$models" "$loom"
	mkdir -p "$models"
	for name in "$1"/*; do
		ln -s "$name" "$models/"
	done
	rm -f "$models/Cargo.toml" "$models/Cargo.lock" "$models/target"
	cp "$1/Cargo.toml" "$models/"
	# Where cargo has put what it has fetched.
	from=$(cd "$models" && cargo metadata --format-version 1 | python3 -c '
import json, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == "loom":
        print(package["manifest_path"].removesuffix("/Cargo.toml"))
')
	if [ "${from##*/}" != "$(basename "$(dirname "${patch[0]}")")" ]; then
		die "there is no patch for the loom in $from"
	fi
	cp -r "$from" "$loom"
	cat "${patch[@]}" | patch -d "$loom" -p1 -s
	rm -f "$models/Cargo.lock"
	printf '\n[patch.crates-io]\nloom = { path = "../loom" }\n' \
		>>"$models/Cargo.toml"
	echo "$models"
}
