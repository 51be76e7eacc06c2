# What scripts share that tell on a Nomad client which packages are installed. They have set
# $work, a folder of their own, and $report, the file of the report.

die() {
	printf '%s\n' "$*" >&2
	exit 1
}

# lines prints the lines of a text that match. Arguments: a pattern, a file.
lines() { grep -E "$1" "$2" || [ $? = 1 ]; }

# complained reports whether a package manager has said that it left something out. rpm ends
# well all the same. Argument: the file of what it said.
complained() { grep -qiE '^error|: error' "$1"; }

# database tells one text, packed. One that is too large is told as empty, so that nobody
# takes a part for the whole. Argument: its name; the text is the input.
database() {
	{ head -c 8388608 >"$work/text"; cat >/dev/null; }
	[ -s "$work/text" ] || return 0
	[ "$(wc -c <"$work/text")" -lt 8388608 ] || : >"$work/text"
	gzip -c "$work/text" >"$work/packed"
	[ "$(wc -c <"$work/packed")" -le 196608 ] || : >"$work/packed"
	printf 'database %s %s\n' "$1" "$(base64 -w 0 "$work/packed")" >>"$report"
}
