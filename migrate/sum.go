package migrate

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/switchbackdb/switchback/internal/atomicfile"
)

// SumFile is the integrity file of a folder of changes. It names every file with its SHA-256, so that
// an edit, a lost file or a careless merge is noticed before anything runs. Its first line sums up
// the rest: two branches that both add a change conflict there, and somebody looks.
const SumFile = "switchback.sum"

const sumHeader = "switchback.sum v1 "

// WriteSum writes the integrity file of the changes below path as they are now.
func WriteSum(path string) error {
	files, err := sumFiles(path)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(path, SumFile), renderSum(files), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", SumFile, err)
	}
	return nil
}

// CheckSum compares the changes below path with their integrity file. Differences are a *FolderError
// that names the first few files.
func CheckSum(path string) error { return CheckOthers(path, "") }

// CheckOthers is CheckSum without the files of one change, which its author is about to write.
func CheckOthers(path, change string) error {
	file := filepath.Join(path, SumFile)
	want, err := readSum(file)
	if err != nil {
		return err
	}
	have, err := sumFiles(path)
	if err != nil {
		return err
	}
	if change != "" {
		mine := func(name, _ string) bool { return strings.HasPrefix(name, change+"/") }
		maps.DeleteFunc(have, mine)
		maps.DeleteFunc(want, mine)
	}
	if want == nil && len(have) == 0 {
		return nil
	}
	if want == nil {
		return &FolderError{Path: file, Reason: "is missing", Next: "look through the changes, then: switchback sum"}
	}
	if d := compareSums(want, have); len(d) > 0 {
		return &FolderError{Path: file, Reason: strings.Join(d, "; "), Next: "if that is meant: switchback sum"}
	}
	return nil
}

// compareSums says what differs, a phrase each, at most five.
func compareSums(want, have map[string]string) []string {
	var d []string
	for name, sum := range have {
		switch w, ok := want[name]; {
		case !ok:
			d = append(d, name+" is not listed")
		case w != sum:
			d = append(d, name+" was edited")
		}
	}
	for name := range want {
		if _, ok := have[name]; !ok {
			d = append(d, name+" is missing")
		}
	}
	sort.Strings(d)
	if len(d) > 5 {
		d = append(d[:5], fmt.Sprintf("and %d more", len(d)-5))
	}
	return d
}

// sumFiles hashes every file of every change below path.
func sumFiles(path string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(e.Name(), ".") && rel != "."
		switch {
		case e.IsDir() && hidden:
			return fs.SkipDir
		case e.IsDir() || hidden || !strings.ContainsRune(filepath.ToSlash(rel), '/'):
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		files[filepath.ToSlash(rel)] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("hash the changes in %s: %w", path, err)
	}
	return files, nil
}

func renderSum(files map[string]string) []byte {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	sort.Strings(names)
	var body bytes.Buffer
	for _, n := range names {
		fmt.Fprintf(&body, "%s %s\n", files[n], n)
	}
	total := sha256.Sum256(body.Bytes())
	return append([]byte(sumHeader+hex.EncodeToString(total[:])+"\n"), body.Bytes()...)
}

// readSum reads an integrity file; a missing one is nil.
func readSum(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	sums := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			continue
		}
		sum, name, ok := strings.Cut(lines.Text(), " ")
		if !ok || len(sum) != sha256.Size*2 {
			return nil, &FolderError{Path: file, Line: n, Reason: "is no line of an integrity file", Next: "resolve the merge, look through the changes, then: switchback sum"}
		}
		sums[name] = sum
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if !bytes.Equal(renderSum(sums), data) {
		return nil, &FolderError{Path: file, Line: 1, Reason: "its first line does not sum up the rest: it was merged or edited by hand", Next: "look through the changes, then: switchback sum"}
	}
	return sums, nil
}
