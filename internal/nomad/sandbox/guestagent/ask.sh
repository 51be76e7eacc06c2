# Asks the guest agent of a twin's machine, each time it gets SIGHUP. QEMU connects the
# agent's serial port with two FIFOs. Nomad interpolates a brace after a dollar
# sign, so there is none here.
#
# Usage: FIFOS FILE MOST AGENT COMMAND SYNC [REQUEST]...
#   FIFOS    path of the FIFOs, without .in and .out
#   FILE     gets the agent's answers, one a line, and then the line "end"
#   MOST     how many bytes of them are kept
#   AGENT    how often is looked for an answer of the agent, five times a second
#   COMMAND  how often is asked whether a command has ended, once a second
#   SYNC     the first request, which an agent that is there answers at once
#   REQUEST  runs a command; the next one is sent when that has ended
fifos=$1 file=$2 most=$3 agent=$4 command=$5
shift 5

# ask sends a request and waits for the line that answers it: answer.
ask() { # REQUEST
	before=$(wc -l <"$file.part") left=$agent
	printf '%s\n' "$1" >&3
	while [ "$(wc -l <"$file.part")" = "$before" ]; do
		[ "$left" -gt 0 ] || return 1
		left=$((left - 1))
		sleep 0.2
	done
	answer=$(tail -n 1 "$file.part")
}

# finished reports whether the last answer says that a command has ended.
finished() {
	case $answer in *'"exited": true'* | *'"exited":true'*) return 0 ;; esac
	return 1
}

# await waits for the end of a command that has started.
await() { # PID
	waited=0
	until ask "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":$1}}" && finished; do
		waited=$((waited + 1))
		[ "$waited" -lt "$command" ] || return 1
		case $answer in *'"error"'*) return 1 ;; esac
		sleep 1
	done
}

# converse stops at the first request without the answer that it needs.
converse() { # SYNC [REQUEST]...
	ask "$1" || return 0
	shift
	for request; do
		ask "$request" || return 0
		pid=$(printf '%s\n' "$answer" | sed -n 's/.*"pid": *\([0-9]\{1,10\}\)[^0-9].*/\1/p')
		[ -n "$pid" ] && await "$pid" || return 0
	done
}

exec 3<>"$fifos.in" 4<>"$fifos.out"
asked=
trap 'asked=yes' HUP
while :; do
	until [ -n "$asked" ]; do sleep 1; done
	asked=
	: >"$file.part"
	# dd keeps nothing back, and what a guest says without an end waits in the FIFO.
	dd bs=1 count="$most" <&4 >>"$file.part" 2>/dev/null &
	reader=$!
	converse "$@"
	kill "$reader" 2>/dev/null
	wait "$reader"
	printf '\nend\n' >>"$file.part"
	mv "$file.part" "$file"
done
