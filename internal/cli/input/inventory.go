package input

import (
	"io"
	"path/filepath"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/advisory"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/policies"
)

// Inventories reads files, and every *.json file of directories.
func Inventories(paths []string) ([]api.Inventory, error) {
	expanded, err := Expand(paths, ".json", "")
	if err != nil {
		return nil, err
	}
	return Each(expanded, Inventory)
}

// Each reads files, and says of all that can't be read why.
func Each[T any](paths []string, read func(path string) (T, error)) ([]T, error) {
	list := make([]T, len(paths))
	var wrong []error
	for i, path := range paths {
		var err error
		if list[i], err = read(path); err != nil {
			wrong = append(wrong, err)
		}
	}
	switch len(wrong) {
	case 0:
		return list, nil
	case 1:
		return nil, wrong[0]
	}
	all := api.Errorf(api.CodeInvalid, "%d of %d files can't be read:", len(wrong), len(paths))
	for _, err := range wrong {
		all.Details = append(all.Details, strings.ReplaceAll(err.Error(), "\n", "\n  "))
	}
	return nil, all
}

// Inventory reads one file.
func Inventory(path string) (api.Inventory, error) {
	return read(path, inventory.DocumentMax, inventory.Parse)
}

// Advisories reads patches (HCL), with the statements that came with them, and OSV
// documents (JSON); of a directory, its OSV documents.
func Advisories(paths []string, stdin io.Reader) ([]advisory.Advisory, []advisory.Statement, error) {
	expanded, err := Expand(paths, ".json", "")
	if err != nil {
		return nil, nil, err
	}
	var out []advisory.Advisory
	var statements []advisory.Statement
	from := map[string]string{}
	for _, path := range expanded {
		list, more, err := readAdvisories(path, stdin)
		if err != nil {
			return nil, nil, err
		}
		for _, a := range list {
			if from[a.ID] != "" {
				return nil, nil, api.Errorf(api.CodeInvalid, "%s and %s: both are advisory %s", from[a.ID], path, a.ID)
			}
			from[a.ID] = path
		}
		out, statements = append(out, list...), append(statements, more...)
	}
	return out, statements, nil
}

func readAdvisories(path string, stdin io.Reader) ([]advisory.Advisory, []advisory.Statement, error) {
	if strings.HasSuffix(path, ".json") {
		one, err := read(path, advisory.DocumentMax, advisory.ParseOSV)
		return []advisory.Advisory{one}, nil, err
	}
	file, err := WithFiles(path, stdin)
	if err != nil {
		return nil, nil, err
	}
	patch, diags := policies.ParsePatch(file)
	if wrong := policies.DiagnosticsError(diags, []api.SourceFile{file}); wrong != nil {
		return nil, nil, wrong
	}
	return advisory.OfPatch(patch)
}

// Statements reads files of statements about who is not affected.
func Statements(paths []string) ([]advisory.Statement, error) {
	var out []advisory.Statement
	for _, path := range paths {
		statements, err := read(path, advisory.DocumentMax, advisory.ParseVEX)
		if err != nil {
			return nil, err
		}
		out = append(out, statements...)
	}
	return out, nil
}

// Rank notes in advisories what files say of exploits; an empty path is no file.
func Rank(advisories []advisory.Advisory, kev, epss string) error {
	exploited, err := ranking(kev, advisory.ParseKEV)
	if err != nil {
		return err
	}
	probable, err := ranking(epss, advisory.ParseEPSS)
	if err != nil {
		return err
	}
	for i := range advisories {
		advisories[i].Rank(exploited, probable)
	}
	return nil
}

func ranking[T any](path string, parse func(source string, document []byte) (map[string]T, error)) (map[string]T, error) {
	if path == "" {
		return nil, nil
	}
	return read(path, advisory.DocumentMax, parse)
}

// read reads a file of at most so many bytes, and parses it.
func read[T any](path string, most int64, parse func(source string, document []byte) (T, error)) (T, error) {
	document, err := UpTo(path, most)
	if err != nil {
		var none T
		return none, err
	}
	return parse(filepath.ToSlash(path), document)
}
