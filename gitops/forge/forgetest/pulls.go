package forgetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
)

func asError(err error) *forge.Error {
	var e *forge.Error
	errors.As(err, &e)
	return e
}

func findsNone(b *bench) {
	b.push(branch)
	for _, name := range []string{branch, "remediate", "no-such-branch"} {
		if prs, err := b.f.Find(b.Context(), name); err != nil || len(prs) != 0 {
			b.Errorf("Find(%q) = %+v, %v", name, prs, err)
		}
	}
}

func openAndFind(b *bench) {
	head := b.push(branch)
	b.push(branch + "e")
	b.s.OpenPR(b, branch+"e", "somebody's")
	q := b.request()
	pr, err := b.f.Open(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	found := b.find()
	for name, pr := range map[string]forge.PullRequest{"opened": pr, "found": found} {
		if pr.Number == 0 || pr.Title != q.Title || pr.Body != q.Body || pr.Branch != branch || pr.Base != q.Base ||
			pr.Head != head || pr.State != forge.Open || pr.Draft || pr.Fork || !strings.HasPrefix(pr.URL, "https://") ||
			!recent(pr.Opened) || !pr.Ended.IsZero() || pr.MergeCommit != "" || !strings.EqualFold(pr.Author, b.s.Bot()) {
			b.Errorf("%s: %+v", name, pr)
		}
	}
	if pr.Number != found.Number || pr.URL != found.URL {
		b.Errorf("opened %d %s, found %d %s", pr.Number, pr.URL, found.Number, found.URL)
	}
}

func openTwice(b *bench) {
	b.open(nil)
	_, err := b.f.Open(b.Context(), b.request())
	b.fails(err, forge.Exists)
	b.find()
}

func openWithoutDiff(b *bench) {
	b.s.Push(b, branch, nil)
	_, err := b.f.Open(b.Context(), b.request())
	b.fails(err, forge.NoDiff)
	if prs := b.s.PRs(b); len(prs) != 0 {
		b.Errorf("there are %+v", prs)
	}
}

func openUnknownBranch(b *bench) {
	_, err := b.f.Open(b.Context(), b.request())
	b.fails(err, forge.NotFound, forge.Invalid)
	b.push(branch)
	q := b.request()
	q.Base = "no-such-base"
	_, err = b.f.Open(b.Context(), q)
	b.fails(err, forge.NotFound, forge.Invalid)
	if prs := b.s.PRs(b); len(prs) != 0 {
		b.Errorf("there are %+v", prs)
	}
}

func openAgain(b *bench) {
	one := b.open(nil)
	b.s.ClosePR(b, one.Number)
	two, err := b.f.Open(b.Context(), b.request())
	if err != nil {
		b.Fatal(err)
	}
	prs, err := b.f.Find(b.Context(), branch)
	if err != nil || len(prs) != 2 || prs[0].Number != two.Number || prs[1].Number != one.Number {
		b.Fatalf("found %+v, %v; want %d, then %d", prs, err, two.Number, one.Number)
	}
	if prs[0].State != forge.Open || prs[1].State != forge.Closed {
		b.Errorf("states %s, %s", prs[0].State, prs[1].State)
	}
	// What was seen before is asked for again.
	b.s.ClosePR(b, two.Number)
	prs, err = b.f.Find(b.Context(), branch)
	if err != nil || len(prs) != 2 || prs[0].State != forge.Closed {
		b.Errorf("found %+v, %v", prs, err)
	}
}

func openDraft(b *bench) {
	pr := b.open(func(q *forge.Request) { q.Draft = true })
	found := b.find()
	const title = "fix(cilium): the range"
	if !pr.Draft || !found.Draft || pr.Title != title || found.Title != title {
		b.Errorf("opened %+v, found %+v", pr, found)
	}
	if !b.shown().Draft {
		b.Errorf("the forge shows no draft: %+v", b.shown())
	}
}

func edit(b *bench) {
	for _, draft := range []bool{false, true} {
		pr := b.open(func(q *forge.Request) { q.Draft = draft })
		title, body := "fix(cilium): another", "Another body.\r\n\n| a | b |\n"
		got, err := b.f.Edit(b.Context(), pr, forge.Edit{Title: &title})
		if err != nil || got.Title != title || got.Body != pr.Body || got.Draft != draft {
			b.Errorf("title: %+v, %v", got, err)
		}
		got, err = b.f.Edit(b.Context(), pr, forge.Edit{Body: &body})
		if err != nil || got.Title != title || !sameText(got.Body, body) || got.Draft != draft {
			b.Errorf("body: %+v, %v", got, err)
		}
		if got, err := b.f.Edit(b.Context(), got, forge.Edit{}); err != nil || got.Title != title {
			b.Errorf("nothing: %+v, %v", got, err)
		}
		empty := ""
		if got, err := b.f.Edit(b.Context(), pr, forge.Edit{Body: &empty}); err != nil || got.Body != "" || got.State != forge.Open {
			b.Errorf("empty body: %+v, %v", got, err)
		}
		b.s.ClosePR(b, pr.Number)
	}
}

// sameText: some forges keep line ends, some do not.
func sameText(a, b string) bool {
	return strings.ReplaceAll(a, "\r\n", "\n") == strings.ReplaceAll(b, "\r\n", "\n")
}

func editKeepsDraft(b *bench, people Drafter) {
	title := "fix(cilium): another"
	pr := b.open(func(q *forge.Request) { q.Draft = true })
	people.SetDraft(b, pr.Number, false)
	if got, err := b.f.Edit(b.Context(), pr, forge.Edit{Title: &title}); err != nil || got.Draft || got.Title != title || b.shown().Draft {
		b.Errorf("a human made it ready: %+v, %v", got, err)
	}
	people.SetDraft(b, pr.Number, true)
	pr = b.find()
	pr.Draft = false
	if got, err := b.f.Edit(b.Context(), pr, forge.Edit{Title: &title, Body: &title}); err != nil || !got.Draft || got.Title != title || !b.shown().Draft {
		b.Errorf("a human made it a draft: %+v, %v", got, err)
	}
}

func newCommit(b *bench) {
	b.open(nil)
	head := b.s.Push(b, branch, map[string][]byte{"another.txt": []byte("more\n")})
	if pr := b.find(); pr.Head != head {
		b.Errorf("head %s, want %s", pr.Head, head)
	}
}

func closeIt(b *bench) {
	pr := b.open(nil)
	body := "Gone."
	got, err := b.f.Edit(b.Context(), pr, forge.Edit{Body: &body, Close: true})
	if err != nil || got.State != forge.Closed || !recent(got.Ended) || got.Body != body {
		b.Errorf("%+v, %v", got, err)
	}
	// A crash may have it closed twice.
	if got, err := b.f.Edit(b.Context(), pr, forge.Edit{Close: true}); err != nil || got.State != forge.Closed {
		b.Errorf("again: %+v, %v", got, err)
	}
	if pr := b.find(); pr.State != forge.Closed || pr.MergeCommit != "" {
		b.Errorf("found %+v", pr)
	}
}

func closedByHuman(b *bench) {
	pr := b.open(nil)
	b.s.ClosePR(b, pr.Number)
	if pr := b.find(); pr.State != forge.Closed || !recent(pr.Ended) {
		b.Errorf("found %+v", pr)
	}
}

func merged(b *bench) {
	pr := b.open(nil)
	commit := b.s.MergePR(b, pr.Number)
	found := b.find()
	if found.State != forge.Merged || found.MergeCommit != commit || !recent(found.Ended) {
		b.Errorf("found %+v, want commit %s", found, commit)
	}
	if got := b.s.Branches(b)[found.Base]; got != commit {
		b.Errorf("%s is at %s, want %s", found.Base, got, commit)
	}
	// Somebody merged it while we were about to close it.
	if got, err := b.f.Edit(b.Context(), pr, forge.Edit{Close: true}); err == nil {
		if got.State != forge.Merged {
			b.Errorf("closing gives %+v", got)
		}
	} else {
		b.fails(err, forge.Conflict, forge.Invalid)
	}
	// All is in the base now.
	_, err := b.f.Open(b.Context(), b.request())
	b.fails(err, forge.NoDiff)
}

func branchDeleted(b *bench) {
	pr := b.open(nil)
	b.s.ClosePR(b, pr.Number)
	b.s.DeleteBranch(b, branch)
	if got := b.find(); got.Number != pr.Number || got.Branch != branch || got.Fork || got.State != forge.Closed {
		b.Errorf("found %+v", got)
	}
	_, err := b.f.Open(b.Context(), b.request())
	b.fails(err, forge.NotFound, forge.Invalid)
}

func list(b *bench) {
	first := b.open(nil)
	b.push("two")
	two := b.s.OpenPR(b, "two", "somebody's")
	b.push("three")
	three := b.s.OpenPR(b, "three", "somebody's, refused")
	b.s.ClosePR(b, three)
	for name, tt := range map[string]struct {
		since time.Time
		want  []int
	}{
		"all":                     {time.Time{}, []int{three, two, first.Number}},
		"of the last hour":        {time.Now().Add(-time.Hour), []int{three, two, first.Number}},
		"open ones stay, if old":  {time.Now().Add(time.Hour), []int{two, first.Number}},
		"opened at since exactly": {first.Opened, []int{three, two, first.Number}},
	} {
		prs, err := b.f.List(b.Context(), tt.since)
		var got []int
		for _, pr := range prs {
			got = append(got, pr.Number)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			b.Errorf("%s: %v, %v; want %v", name, got, err, tt.want)
		}
		for _, pr := range prs {
			if mine := pr.Number == first.Number; pr.Fork || mine != strings.EqualFold(pr.Author, b.s.Bot()) || mine != (pr.Branch == branch) {
				b.Errorf("%s: %+v", name, pr)
			}
		}
	}
}

func listWithForks(b *bench, people Forker) {
	pr := b.open(nil)
	forked := people.OpenForkPR(b, branch+"-fork", "of a fork")
	prs, err := b.f.List(b.Context(), time.Time{})
	if err != nil || len(prs) != 2 || prs[0].Number != forked || prs[1].Number != pr.Number {
		b.Fatalf("%+v, %v", prs, err)
	}
	if !prs[0].Fork || prs[0].Author != b.s.Reader() || prs[1].Fork {
		b.Errorf("%+v", prs)
	}
	files, err := b.f.Files(b.Context(), prs[0])
	if err != nil || len(files) != 1 {
		b.Fatalf("files %v, %v", files, err)
	}
	if text, ok, err := b.f.Read(b.Context(), prs[0], files[0]); err != nil || !ok || string(text) != "of a fork\n" {
		b.Errorf("read %q, %v, %v", text, ok, err)
	}
}

func findLeavesForksOut(b *bench, people Forker) {
	people.OpenForkPR(b, branch, "looks like ours")
	if prs, err := b.f.Find(b.Context(), branch); err != nil || len(prs) != 0 {
		b.Errorf("found %+v, %v", prs, err)
	}
	b.open(nil)
	b.find()
}

func filesAndRead(b *bench) {
	base := b.base()
	b.s.Push(b, base, map[string][]byte{"apps/old.yaml": []byte("a: 1\n"), "apps/values ü%.yaml": []byte("b: 1\n"), "kept.yaml": []byte("c: 1\n")})
	b.s.Push(b, branch, map[string][]byte{"apps/old.yaml": nil, "apps/values ü%.yaml": []byte("b: 2\n"), "new.bin": {0, 1, 255, '\r', '\n'}})
	pr, err := b.f.Open(b.Context(), b.request())
	if err != nil {
		b.Fatal(err)
	}
	files, err := b.f.Files(b.Context(), pr)
	slices.Sort(files)
	if want := []string{"apps/old.yaml", "apps/values ü%.yaml", "new.bin"}; err != nil || !slices.Equal(files, want) {
		b.Errorf("files %q, %v; want %q", files, err, want)
	}
	for path, want := range map[string]string{
		"apps/values ü%.yaml": "b: 2\n", "new.bin": "\x00\x01\xff\r\n", "kept.yaml": "c: 1\n",
		"apps/old.yaml": "missing", "no/such/file": "missing",
	} {
		text, ok, err := b.f.Read(b.Context(), pr, path)
		if !ok {
			text = []byte("missing")
		}
		if err != nil || string(text) != want {
			b.Errorf("%s: %q, %v; want %q", path, text, err, want)
		}
	}
}
