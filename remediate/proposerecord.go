package remediate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/remediate-dev/remediate/gitops/forge"
)

const (
	recordMark = "<!-- remediate {"
	statusMark = "<!-- remediate-status {"
	markEnd    = " -->"
	// maxRecord bounds a record that is read, in bytes.
	maxRecord = 24 << 10
	// maxUnknown bounds how many unknown facts a record keeps, maxFact their length in bytes.
	maxUnknown, maxFact = 40, 160
)

// record is what a pull request of ours says of itself at the end of its body.
// It is believed only in one whose branch it names.
type record struct {
	Version   int    `json:"v"`
	Signature string `json:"signature"`
	Cluster   string `json:"cluster"`
	Candidate string `json:"candidate"`
	Change    string `json:"change"`
	Facts     string `json:"facts"`
	Plan      string `json:"plan"`
	// Base is the commit that ours was built on, Head ours.
	Base string `json:"base"`
	Head string `json:"head"`
	// Text is a hash of the body above the record as we wrote it.
	Text string `json:"text,omitempty"`
	// Paths are the Helm values that are changed, Was a hash of what they were.
	Paths []string `json:"paths,omitempty"`
	Was   string   `json:"was,omitempty"`
	// Unknown are the facts that were not known, shortened and sorted.
	Unknown []string `json:"unknown"`
	// Note is what [Proposer.Note] was when it was opened.
	Note json.RawMessage `json:"note,omitempty"`
}

func (r record) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		return ""
	}
	return "<!-- remediate " + string(b) + markEnd
}

// readRecord finds the last record of a pull request's body.
func readRecord(pr forge.PullRequest) (record, bool) {
	var r record
	if pr.Fork || !unmark(pr.Body, recordMark, &r) || r.Version != 1 {
		return record{}, false
	}
	if branchName(r.Cluster, r.Signature, r.Change) != pr.Branch || !isHash(r.Head) || !isHash(r.Base) {
		return record{}, false
	}
	return r, true
}

// closing says why a pull request of ours was closed by us.
type closing string

const (
	closedGone       closing = "gone"
	closedFixed      closing = "fixed"
	closedSuperseded closing = "superseded"
	closedRejected   closing = "rejected"
)

// status is the record of our one comment.
type status struct {
	Version int     `json:"v"`
	Closing closing `json:"closing"`
	// By is the candidate that takes over when superseded, Why the reason in words.
	By  string `json:"by,omitempty"`
	Why string `json:"why,omitempty"`
	// Done: it was closed after the comment was written. A pull request that is
	// open all the same was opened again by a person, and Kept then.
	Done bool `json:"done,omitempty"`
	Kept bool `json:"kept,omitempty"`
	// Log are the commands that were carried out, oldest first.
	Log []reply `json:"log,omitempty"`
	// Verdict is what became of the change once it was merged.
	Verdict string `json:"verdict,omitempty"`
}

// reply is what was done about one command. Only the newest keep their words.
type reply struct {
	// ID is of the comment and the command's place in it: "17.0".
	ID    string `json:"c"`
	By    string `json:"b,omitempty"`
	Asked string `json:"a,omitempty"`
	Done  string `json:"d,omitempty"`
}

const (
	// maxLog bounds how many commands are remembered, maxWords how many with their
	// words; it is not less than [maxCommands].
	maxLog, maxWords = 2 * maxCommands, 10
	// maxReply bounds a text in a record or a warning, in bytes.
	maxReply = 280
)

func (s status) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return "<!-- remediate-status " + string(b) + markEnd
}

// says: whoever believes it does something else than without it.
func (s *status) says() bool {
	return s.Closing != "" || s.Done || s.Kept || len(s.Log) > 0 || s.Verdict != ""
}

// readStatus finds the record of a comment. It is to be believed in ours only.
func readStatus(c forge.Comment) (status, bool) {
	var s status
	if !unmark(c.Body, statusMark, &s) || s.Version != 1 {
		return status{}, false
	}
	switch s.Closing {
	case "", closedGone, closedFixed, closedSuperseded, closedRejected:
		return s, true
	}
	return status{}, false
}

// did says what was done about a command, if anything.
func (s *status) did(id string) bool {
	return slices.ContainsFunc(s.Log, func(r reply) bool { return r.ID == id })
}

// answered says whether that very command of that user was carried out, who was
// allowed to give it then. A comment that was edited since is another command.
func (s *status) answered(c command) bool {
	return slices.ContainsFunc(s.Log, func(r reply) bool {
		return r.ID == c.id && r.By == clip(c.By, 80) && r.Asked == c.asked() && r.Done != ""
	})
}

func (c command) asked() string { return clip(strings.TrimSpace(string(c.Verb)+" "+c.Arg), 120) }

// note keeps what was done about a command.
func (s *status) note(c command, format string, args ...any) {
	if s.did(c.id) {
		return
	}
	s.Log = append(s.Log, reply{c.id, clip(c.By, 80), c.asked(), clip(fmt.Sprintf(format, args...), maxReply)})
	s.Log = s.Log[max(0, len(s.Log)-maxLog):]
	for i := range s.Log[:max(0, len(s.Log)-maxWords)] {
		s.Log[i] = reply{ID: s.Log[i].ID}
	}
}

// unmark decodes the last marked comment of a text.
func unmark(text, mark string, into any) bool {
	i := strings.LastIndex(text, mark)
	if i < 0 {
		return false
	}
	text = text[i+len(mark)-1:]
	end := strings.Index(text, markEnd)
	if end < 0 || end > maxRecord {
		return false
	}
	return json.Unmarshal([]byte(text[:end]), into) == nil
}

// shortened are unknown facts as a record keeps them.
func shortened(unknown []string) []string {
	out := []string{}
	for _, u := range unknown {
		out = append(out, clip(u, maxFact))
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxUnknown)]
}

// lessKnown are the facts that are not known now and were when r was written.
// What Git's history holds decides no finding, and clones differ in it.
func (r record) lessKnown(unknown []string) []string {
	var out []string
	for _, u := range unknown {
		if !strings.HasPrefix(u, "history: ") && !slices.Contains(r.Unknown, clip(u, maxFact)) {
			out = append(out, u)
		}
	}
	return out
}

// clip shortens to n bytes, at a character's end, without control characters.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// isHash tells a full commit hash.
func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// above is a body without its record.
func above(body string) string {
	if i := strings.LastIndex(body, recordMark); i >= 0 {
		body = body[:i]
	}
	return body
}

// textHash is of a body without its record, whatever a forge does to line ends
// and the spaces at its ends.
func textHash(body string) string {
	return hash(settled(above(body)))[:16]
}

// settled is a text as every forge gives it back.
func settled(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
