# Repeats what the failed tests of a `go test -v` said last, so that the end of a long
# log tells what failed and why.
function tell(  i) {
	for (i = (said > 15 ? said - 15 : 0); i < said; i++)
		print lines[i]
	said = 0
}

/^=== / || /^ *--- (PASS|SKIP)/ { said = 0; next }
/^ *--- FAIL/ { tell(); print; next }
/^panic: / { said = 0; rest = 8 }
rest > 0 { rest--; print; next }
{ lines[said++] = $0 }
/^FAIL\t/ { print; said = 0 }
