package qemu

import (
	"path"
	"strings"
)

// Origin is where a machine's image comes from.
type Origin int

// Origins of images.
const (
	FromNode  Origin = iota // a file of the node
	FromTask                // artifacts of the task bring it into the task's folder
	FromGroup               // other tasks of the group make it before the machine starts
)

// OriginOf reads it from the image's path.
func OriginOf(image string) Origin {
	switch {
	case strings.HasPrefix(image, "${NOMAD_ALLOC_DIR}"):
		return FromGroup
	case strings.HasPrefix(image, "/"), strings.HasPrefix(image, "${meta."), strings.HasPrefix(image, "${attr."), strings.HasPrefix(image, "${node."):
		return FromNode
	}
	return FromTask
}

// formatByName is the format that an image's name declares, or "".
func formatByName(name string) string {
	switch path.Ext(name) {
	case ".qcow2":
		return FormatQcow2
	case ".raw", ".iso":
		return FormatRaw
	}
	return ""
}
