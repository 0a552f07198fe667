package collect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/probe"
)

// Limits of what a line may hold; more than that is not a probe's line.
const (
	maxName   = 253 // RFC 1123, section 2.1: a DNS name
	maxReason = 256
	maxBoot   = 64
	maxTally  = 64
	maxNotes  = 4
)

// errNotALine is text that is no line of a probe.
var errNotALine = errors.New("not a probe's line")

// Parse reads one line of a probe, without its newline. Names that are no names,
// addresses that do not parse, unknown versions and lines of more than
// [probe.MaxLine] bytes are errors. Of texts for people, control characters are
// taken out. Observations that make no sense are left out and counted; tallies of
// what is no check are left out, and their numbers are 0 to 65,535.
func Parse(text []byte) (line probe.Line, dropped int, err error) {
	text = bytes.TrimSpace(text)
	if len(text) > probe.MaxLine {
		return probe.Line{}, 0, fmt.Errorf("%w: %d bytes, at most %d", errNotALine, len(text), probe.MaxLine)
	}
	if err := json.Unmarshal(text, &line); err != nil {
		return probe.Line{}, 0, fmt.Errorf("%w: %w", errNotALine, err)
	}
	if err := checkLine(&line); err != nil {
		return probe.Line{}, 0, err
	}
	kept := line.Observations[:0]
	for _, o := range line.Observations {
		if cleanObservation(&o) {
			kept = append(kept, o)
		}
	}
	dropped = len(line.Observations) - len(kept)
	line.Observations = kept
	return line, dropped, nil
}

// peek finds boot and number at the beginning of a line as a probe writes it, so that
// what was read before need not be parsed.
func peek(text []byte) (boot string, seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte(`{"v":1,"boot":"`))
	if !ok {
		return "", 0, false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`","seq":`))
	end := bytes.IndexByte(rest, ',')
	if !ok || end < 0 || len(name) > maxBoot {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(string(rest[:end]), 10, 64)
	return string(name), seq, err == nil && seq > 0
}

func checkLine(l *probe.Line) error {
	switch {
	case l.Version != 1:
		return fmt.Errorf("%w: version %d, want 1", errNotALine, l.Version)
	case l.Boot == "" || len(l.Boot) > maxBoot || !isName(l.Boot):
		return fmt.Errorf("%w: no boot id", errNotALine)
	case l.Seq == 0:
		return fmt.Errorf("%w: no sequence number", errNotALine)
	case l.At.IsZero():
		return fmt.Errorf("%w: no time", errNotALine)
	case len(l.Members) > maxBoot || !isName(l.Members):
		return fmt.Errorf("%w: members' hash", errNotALine)
	case !cleanEndpoint(&l.From):
		return fmt.Errorf("%w: from", errNotALine)
	}
	l.Nodes, l.Delay = max(l.Nodes, 0), max(l.Delay, 0)
	if n := min(len(l.Tallies), maxTally); n > 0 {
		l.Tallies = unpackTallies(packTallies(l.Tallies[:n]))
	}
	l.Notes = l.Notes[:min(len(l.Notes), maxNotes)]
	for i, n := range l.Notes {
		l.Notes[i] = plain(n)
	}
	return nil
}

// cleanObservation says whether the observation makes sense, and tidies it.
func cleanObservation(o *v1alpha1.Observation) bool {
	if _, ok := kindOf(o.Via, o.Family, o.Protocol, o.Target); !ok || indexOf(outcomes, o.Outcome) < 0 {
		return false
	}
	if !cleanEndpoint(&o.From) || !cleanEndpoint(&o.To) || o.To.IP == "" {
		return false
	}
	if !cleanAddr(&o.SourceSeen) || !isTime(o.At) || !isTime(o.Heard) {
		return false
	}
	const most = 1<<16 - 1
	if min(o.Sent, o.Received, o.Bytes) < 0 || max(o.Sent, o.Received, o.Bytes) > most {
		return false
	}
	if o.Outcome != v1alpha1.OutcomeOK {
		o.SourceSeen = "" // only an answer tells it
	}
	o.Reason = plain(o.Reason)
	// Only an agent knows these.
	o.DropReason, o.SourceIdentity = "", ""
	return true
}

// isTime takes a moment as probes write it, or none.
func isTime(s string) bool {
	if len(s) > 40 {
		return false
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return s == "" || err == nil
}

func cleanEndpoint(e *v1alpha1.Endpoint) bool {
	return isName(e.Namespace) && isName(e.Pod) && isName(e.Node) &&
		e.Port >= 0 && e.Port < 1<<16 && cleanAddr(&e.IP)
}

// cleanAddr brings an address into its canonical form; none is one, too.
func cleanAddr(s *string) bool {
	if *s == "" {
		return true
	}
	a, err := netip.ParseAddr(*s)
	if err != nil || a.Zone() != "" {
		return false
	}
	*s = a.Unmap().String()
	return true
}

// isName takes what names of nodes, pods, namespaces and our own ids are made of.
func isName(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
		if !ok {
			return false
		}
	}
	return true
}

// plain is a text fit for a terminal: no control or format characters, bounded.
func plain(s string) string {
	if len(s) > maxReason {
		s = s[:maxReason]
	}
	s = strings.ToValidUTF8(s, "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
