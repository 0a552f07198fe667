package edit

import (
	"bufio"
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// envName is what kustomize takes for the name of a variable.
var envName = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

// envEntry is one line of an env file.
type envEntry struct {
	key        string // "" for a blank line or a comment
	start, end int    // offsets of the key, and of the end of the line without its break
	value      int    // offset of the value; end when there is no "="
	assigned   bool   // there is a "="
}

// ApplyEnv sets key to value in an env file, read as kustomize's generators read
// it: KEY=value on each line, comments on lines of their own, no quoting, so the
// value is written as it is. A key that is not there is added behind the one
// that it belongs to, else at the end. A file that kustomize would refuse, a key
// that stands there twice, and a value of several lines are refused with an
// [*Error].
func ApplyEnv(src []byte, key, value string) ([]byte, error) {
	switch {
	case !envName.MatchString(key):
		return nil, refuse(ErrPath, 0, "%q is no name of a variable", key)
	case !utf8.ValidString(value) || strings.ContainsAny(value, "\n\r\x00"):
		return nil, refuse(ErrValue, 0, "the value of %s must be one line of UTF-8", key)
	case len(key)+len(value)+2 >= bufio.MaxScanTokenSize:
		return nil, refuse(ErrTooLarge, 0, "a line of %d bytes or more: kustomize would stop reading there", bufio.MaxScanTokenSize)
	}
	entries, err := readEnv(src)
	if err != nil {
		return nil, err
	}
	var keys []string
	for i, entry := range entries {
		if entry.key == key {
			return setEnv(src, entry, i+1, value)
		}
		keys = append(keys, entry.key)
	}
	return addEnv(src, entries, keys, key+"="+value)
}

func setEnv(src []byte, entry envEntry, line int, value string) ([]byte, error) {
	old := string(src[entry.value:entry.end])
	switch {
	case old == value:
		return src, nil
	case strings.Contains(old, "{{") || strings.Contains(old, "{%"):
		return nil, refuse(ErrTemplate, line, "the value is a template: edit it by hand")
	case !entry.assigned:
		value = "=" + value
	}
	out, _ := spliceAll(src, []splice{{entry.value, entry.end, value}})
	return out, nil
}

func addEnv(src []byte, entries []envEntry, keys []string, line string) ([]byte, error) {
	eol := "\n"
	if i := bytes.IndexByte(src, '\n'); i > 0 && src[i-1] == '\r' {
		eol = "\r\n"
	}
	at, text := len(src), line+eol
	if i := mostRelated(keys, strings.SplitN(line, "=", 2)[0]); i >= 0 && i+1 < len(entries) {
		at = entries[i].end + bytes.IndexByte(src[entries[i].end:], '\n') + 1
	} else if len(src) > 0 && src[len(src)-1] != '\n' {
		if src[len(src)-1] == '\r' { // the first half of a break
			eol = "\n"
		}
		text = eol + line
	}
	out, _ := spliceAll(src, []splice{{at, at, text}})
	return out, nil
}

// readEnv lists the lines of an env file.
func readEnv(src []byte) ([]envEntry, error) {
	if len(src) > MaxBytes {
		return nil, refuse(ErrTooLarge, 0, "%d bytes, at most %d are read", len(src), MaxBytes)
	}
	var entries []envEntry
	seen := map[string]int{}
	for off := 0; off < len(src); {
		next := len(src)
		if i := bytes.IndexByte(src[off:], '\n'); i >= 0 {
			next = off + i + 1
		}
		entry, err := readEnvLine(src, off, next, len(entries)+1)
		if err != nil {
			return nil, err
		}
		if first := seen[entry.key]; first > 0 && entry.key != "" {
			return nil, refuse(ErrDuplicateKey, len(entries)+1, "%q is on line %d too: remove one of them", entry.key, first)
		}
		entries = append(entries, entry)
		seen[entry.key] = len(entries)
		off = next
	}
	return entries, nil
}

// readEnvLine reads the line of src[off:next], its break included.
func readEnvLine(src []byte, off, next, number int) (envEntry, error) {
	line := bytes.TrimSuffix(bytes.TrimSuffix(src[off:next], []byte("\n")), []byte("\r"))
	end := off + len(line)
	switch {
	case next-off >= bufio.MaxScanTokenSize:
		return envEntry{}, refuse(ErrTooLarge, number, "a line of %d bytes or more: kustomize stops reading there", bufio.MaxScanTokenSize)
	case !utf8.Valid(line):
		return envEntry{}, refuse(ErrNotEnv, number, "the text is not UTF-8")
	}
	if number == 1 {
		line = bytes.TrimPrefix(line, byteOrderMark)
	}
	line = bytes.TrimLeftFunc(line, unicode.IsSpace)
	entry := envEntry{start: end - len(line), end: end, value: end}
	if len(line) == 0 || line[0] == '#' {
		return entry, nil
	}
	key, value, assigned := bytes.Cut(line, []byte("="))
	if assigned {
		entry.value, entry.assigned = end-len(value), true
	}
	switch entry.key = string(key); {
	case !envName.MatchString(entry.key):
		return envEntry{}, refuse(ErrNotEnv, number, "KEY=value is expected; kustomize understands neither \"export\" nor blanks before the \"=\"")
	case strings.HasPrefix(entry.key, "sops_") || bytes.HasPrefix(value, []byte("ENC[")):
		return envEntry{}, refuse(ErrEncrypted, number, "change it with sops, or move the value out of the encrypted file")
	}
	return entry, nil
}

// PositionEnv gives the 1-based line of key in an env file. The file is read,
// and refused, as by [ApplyEnv].
func PositionEnv(src []byte, key string) (line int, found bool, err error) {
	entries, err := readEnv(src)
	if err != nil {
		return 0, false, err
	}
	for i, entry := range entries {
		if entry.key == key && key != "" {
			return i + 1, true, nil
		}
	}
	return 0, false, nil
}
