// Package browser tries the web page in Chromium, on the fleet in memory with three servers
// beside it. Its tests need the tag e2e and Debian's chromium, but no root and no network.
package browser
