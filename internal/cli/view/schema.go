package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// Schema writes what files in HCL take, in the shape of such a file: each argument with
// its type in place of its value, and the rest in a comment.
func Schema(w io.Writer, blocks []api.BlockSchema) { schemaBlocks(w, "", blocks) }

func schemaBlocks(w io.Writer, indent string, blocks []api.BlockSchema) {
	for i, b := range blocks {
		if i > 0 {
			fmt.Fprintln(w)
		}
		head := b.Name
		switch {
		case b.Kind != "":
			head += fmt.Sprintf(" %q", b.Kind)
		case b.Label != "":
			head += ` "NAME"`
		}
		about := b.Doc
		if b.Label != "" && b.Label != "its name" {
			about += "; NAME is " + b.Label
		}
		fmt.Fprintf(w, "%s%s {  # %s%s\n", indent, head, about, since(b.Since))
		longest, widest := 0, 0
		for _, a := range b.Arguments {
			longest, widest = max(longest, len(a.Name)), max(widest, len(a.Type))
		}
		for _, a := range b.Arguments {
			fmt.Fprintf(w, "%s  %-*s = %-*s  # %s\n", indent, longest, a.Name, widest, a.Type, argumentText(a))
		}
		if len(b.Arguments) > 0 && len(b.Blocks) > 0 {
			fmt.Fprintln(w)
		}
		schemaBlocks(w, indent+"  ", b.Blocks)
		fmt.Fprintln(w, indent+"}")
	}
}

func argumentText(a api.ArgumentSchema) string {
	var parts []string
	if a.Required {
		parts = append(parts, "required")
	}
	switch {
	case len(a.OneOf) > 0:
		parts = append(parts, strings.Join(a.OneOf, " | "))
	case a.Max != "":
		parts = append(parts, a.Min+" to "+a.Max)
	case a.Wants != "":
		parts = append(parts, a.Wants)
	}
	if a.Default != "" {
		parts = append(parts, "default "+strings.Join(strings.Fields(a.Default), " "))
	}
	text, doc := strings.Join(parts, "; "), strings.TrimSuffix(a.Doc, ".")
	switch {
	case text == "":
		text = doc
	case doc != "":
		text = doc + " (" + text + ")"
	}
	return text + since(a.Since)
}

// since tells the cluster level that a block or an argument needs.
func since(level int) string {
	if level == 0 {
		return ""
	}
	return fmt.Sprintf(" [since cluster level %d]", level)
}
