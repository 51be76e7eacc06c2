// Package view writes what the API says for a person to read: tables, lists of
// fields, and one page of HTML. Every function writes values of package api and
// knows neither the server nor the flags of a command. It is given the time, so
// that the same answer is always written in the same way.
package view
