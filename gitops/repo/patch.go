package repo

import (
	"bytes"
	"errors"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"time"
)

// PatchOptions describe a commit that is sent as a file.
type PatchOptions struct {
	Author  Identity
	When    time.Time
	Message string
	// Diff is unified, with paths a/… and b/….
	Diff string
}

// Patch is a mail as git format-patch makes it, which git am takes. A message of
// [Message] arrives as it is; of another one, lines that git am takes for the
// end of the message come indented by one space. Git itself takes words in
// brackets and "Re:" from the beginning of a subject.
func Patch(o PatchOptions) ([]byte, error) {
	if err := o.Author.check(); err != nil {
		return nil, err
	}
	subject, body, _ := strings.Cut(strings.Trim(o.Message, "\n"), "\n")
	if strings.TrimSpace(subject) == "" || o.Diff == "" || o.When.IsZero() {
		return nil, errors.New("patch: the message, the time or the diff is missing")
	}
	content := o.content(strings.Trim(body, "\n"))
	encoding := "8bit"
	if needsEncoding(content) {
		encoding, content = "quoted-printable", encodeLines(content)
	}
	var out bytes.Buffer
	out.WriteString("From " + strings.Repeat("0", 40) + " Mon Sep 17 00:00:00 2001\n")
	out.WriteString("From: " + address(o.Author) + "\n")
	out.WriteString("Date: " + o.When.Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\n")
	out.WriteString("Subject: [PATCH] " + header(subject) + "\n")
	out.WriteString("MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n")
	out.WriteString("Content-Transfer-Encoding: " + encoding + "\n\n")
	out.WriteString(content)
	return out.Bytes(), nil
}

// content is the mail's text: the message without its subject, and the diff.
func (o PatchOptions) content(body string) string {
	var b strings.Builder
	if looksLikeHeader.MatchString(body) {
		// Git reads headers at the beginning of a text, up to an empty line.
		b.WriteString("From: " + o.Author.String() + "\n\n")
	}
	for line := range strings.SplitSeq(body, "\n") {
		b.WriteString(guardLine(line) + "\n")
	}
	b.WriteString("---\n\n" + o.Diff)
	if !strings.HasSuffix(o.Diff, "\n") {
		b.WriteString("\n")
	}
	b.WriteString("-- \nremediate\n")
	return b.String()
}

// looksLikeHeader is the beginning of a text that git takes for headers.
var looksLikeHeader = regexp.MustCompile(`^\s*(>?From\b|\[PATCH|[A-Za-z-]+:)`)

// guardLine indents a line where git am stops reading a message: before a diff,
// and at a line of three dashes.
func guardLine(line string) string {
	_, rest, dashes := strings.Cut(line, "---")
	switch {
	case strings.HasPrefix(line, "diff -"), strings.HasPrefix(line, "Index: "),
		dashes && strings.HasPrefix(line, "---") && endsMessage(rest):
		return " " + line
	}
	return line
}

// endsMessage looks at what follows three dashes: only space, or a file's name.
func endsMessage(rest string) bool {
	return strings.TrimSpace(rest) == "" || len(rest) > 1 && rest[0] == ' ' && rest[1] != ' ' && rest[1] != '\t'
}

// address is a From header's value.
func address(i Identity) string {
	const any = "<x@x>"
	phrase := (&mail.Address{Name: strings.TrimSpace(i.Name), Address: "x@x"}).String()
	return strings.TrimSuffix(phrase, any) + "<" + strings.TrimSpace(i.Email) + ">"
}

// maxHeader is the length of a header's line that RFC 5322 recommends.
const maxHeader = 76

// header is a subject, encoded when it is not plain ASCII, and folded.
func header(subject string) string {
	for _, c := range subject {
		if c > '~' || c < ' ' {
			return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", subject), "?= =?", "?=\n =?")
		}
	}
	if strings.Contains(subject, "=?") {
		return "=?utf-8?q?" + strings.NewReplacer("=", "=3D", "?", "=3F", " ", "_", "_", "=5F").Replace(subject) + "?="
	}
	return fold(subject)
}

func fold(subject string) string {
	var b strings.Builder
	length := len("Subject: [PATCH] ")
	for i, word := range strings.Split(subject, " ") {
		switch {
		case i == 0:
		case length+1+len(word) > maxHeader:
			b.WriteString("\n ")
			length = 1
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += len(word)
	}
	return b.String()
}

// needsEncoding reports what does not survive a mail as it is: carriage returns,
// very long lines, and lines that begin like the next mail of a mailbox.
func needsEncoding(content string) bool {
	if strings.ContainsAny(content, "\r\x00") {
		return true
	}
	for line := range strings.SplitSeq(content, "\n") {
		if len(line) > 990 || strings.HasPrefix(line, "From ") {
			return true
		}
	}
	return false
}

// encodeLines is quoted-printable that keeps line breaks, so that it can be read.
func encodeLines(content string) string {
	var b bytes.Buffer
	for line := range strings.Lines(content) {
		text, ended := strings.CutSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(text, "From "); ok {
			b.WriteString("=46rom ")
			text = rest
		}
		w := quotedprintable.NewWriter(&b)
		w.Binary = true
		_, _ = w.Write([]byte(text)) // a buffer takes everything
		_ = w.Close()
		if ended {
			b.WriteByte('\n')
		}
	}
	return strings.ReplaceAll(b.String(), "=\r\n", "=\n")
}
