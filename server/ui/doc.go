// Package ui serves the web page of a server, below /ui/. It is a client of the HTTP API
// like any other: each request of a browser becomes requests to the API, with the token of
// the browser's cookie, so that the page can do nothing that its user could not do with the
// command line, and the API's authentication, limits and audit log see all of it.
//
// Pages are made on the server and work without scripts. Scripts keep them up to date, draw
// the graph and the plots. Everything that a page needs comes from the server: no request
// goes elsewhere.
//
// The package starts no goroutine and keeps no state between requests.
package ui
