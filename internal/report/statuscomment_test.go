package report

import (
	"fmt"
	"strings"
	"testing"
)

const statusRecord = `<!-- remediate-status {"v":1,"closing":"superseded"} -->`

func TestStatusCommentGolden(t *testing.T) {
	golden(t, "pr-status.md", []byte(StatusComment(StatusOptions{
		State:   "Closed: another candidate was chosen.",
		Link:    "https://git.example/home/cluster/pulls/13",
		Closing: "alice chose use-ip-masq-agent, which has a pull request of its own now.",
		Replies: []Reply{
			{By: "bob", Asked: "/remediate merge", Done: "this is no command; there are /remediate replan, /remediate reject REASON, /remediate candidate ID, /remediate snooze 7d"},
			{By: "alice", Asked: "/remediate candidate use-ip-masq-agent", Done: "opened"},
		},
		History: []string{"2026-02-12 10:00 UTC: opened on 4f1c2d9e0b", "2026-02-12 11:00 UTC: built anew on 5a6b7c8d9e, proven again"},
		Record:  statusRecord,
	})))
}

func TestStatusComment(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  StatusOptions
		want string
	}{
		{"empty", StatusOptions{}, "**Nothing to report.**\n"},
		{"state", StatusOptions{State: "Waiting for a review."}, "**Waiting for a review.**\n"},
		{"link", StatusOptions{State: "Replaced.", Link: "https://git.example:3000/o/r/pulls/1"}, "**Replaced.**\n\nSee <https://git.example:3000/o/r/pulls/1>.\n"},
		{"link that is none", StatusOptions{State: "Replaced.", Link: "javascript:alert(1)"}, "**Replaced.**\n\nSee `javascript:alert(1)`.\n"},
		{"link with an end inside", StatusOptions{State: "Replaced.", Link: "https://x/> @all"}, "**Replaced.**\n\nSee `https://x/> @all`.\n"},
		{"reply of nobody", StatusOptions{State: "Open.", Replies: []Reply{{}}}, "**Open.**\n\nAnswers:\n\n- someone asked for something: done\n"},
		{"record", StatusOptions{State: "Open.", Record: statusRecord}, "**Open.**\n\n" + statusRecord + "\n"},
		{"record that is none", StatusOptions{State: "Open.", Record: "<!-- a\n/close -->"}, "**Open.**\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := StatusComment(tt.opt); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestStatusCommentKeepsTheNewest(t *testing.T) {
	var o StatusOptions
	for i := range 100 {
		o.History = append(o.History, fmt.Sprintf("step %d.", i))
		o.Replies = append(o.Replies, Reply{By: "a", Asked: "b", Done: fmt.Sprintf("reply %d.", i)})
	}
	got := StatusComment(o)
	for _, want := range []string{"step 99.", "step 90.", "reply 99.", "reply 90.", "- 90 earlier left out"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "step 89.") || strings.Contains(got, "reply 89.") {
		t.Errorf("old lines stay:\n%s", got)
	}
	if strings.Index(got, "step 98.") > strings.Index(got, "step 99.") {
		t.Error("not oldest first")
	}
}

func TestHostileStatusComment(t *testing.T) {
	for _, s := range hostile {
		got := StatusComment(filledStatus(s))
		checkPrintable(t, got)
		for l := range strings.SplitSeq(strings.TrimSuffix(got, record+"\n"), "\n") {
			checkProse(t, l)
		}
		if !strings.HasSuffix(got, "\n"+record+"\n") || strings.Count(got, "<!--") != 1 {
			t.Errorf("the record is not the one at the end:\n%.500s", got)
		}
		if len(got) > 65536 {
			t.Errorf("%d bytes", len(got))
		}
	}
	many := filledStatus("")
	for range 1000 {
		many.History = append(many.History, strings.Repeat("@a#1", 1000))
		many.Replies = append(many.Replies, Reply{strings.Repeat("@", 3000), strings.Repeat("`", 3000), strings.Repeat("<", 3000)})
	}
	many.Record = "<!-- " + strings.Repeat("x", 30000) + " -->"
	if got := StatusComment(many); len(got) > 65536 || !strings.HasSuffix(got, many.Record+"\n") {
		t.Errorf("%d bytes", len(got))
	}
}
