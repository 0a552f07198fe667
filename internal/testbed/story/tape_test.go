package story

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/internal/testbed"
)

func tapeOfTwo() *Tape {
	return &Tape{Title: "a <story>", Nodes: []string{"node-1", "node-2"}, Marks: []Mark{
		{At: 1200 * time.Millisecond, Step: "healthy", Text: "all & sundry"},
		{At: 2 * time.Second, Step: "fault merged", Text: "a commit"},
		{At: 62500 * time.Millisecond, Step: "dropped", Cut: []string{"node-2"}, Text: strings.Repeat("words ", 40) + "end"},
		{At: 100 * time.Second, Step: "MergedNotActive", Cut: []string{"node-1", "node-2"}, Text: "node-1: an old one"},
		{At: 101 * time.Second, Step: "Verified", Text: "it is over"},
	}}
}

func TestTape(t *testing.T) {
	tape := tapeOfTwo()
	again, err := ParseTape(tape.String())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, tape) {
		t.Errorf("\n%swas read as\n%s", tape, again)
	}
	const want = "   60.5 s  until dropped\n   37.5 s  until MergedNotActive\n    1.0 s  until Verified\n   99.0 s  from fault merged to Verified\n"
	if got := tape.Split("fault merged"); got != want {
		t.Errorf("split\n%swant\n%s", got, want)
	}
	if got := tape.Split("nothing"); got != "there is no step nothing" {
		t.Error(got)
	}
}

func TestTapeRecords(t *testing.T) {
	tape := NewTape("a story", "node-1", "node-2")
	tape.Cut("node-2")
	if line := tape.Step("dropped", "two\nlines of %d", 1); !strings.HasSuffix(line, "  +-  dropped          two lines of 1") {
		t.Errorf("%q", line)
	}
	tape.Cut()
	if line := tape.Step("over", "x"); !strings.HasSuffix(line, "  ++  over             x") {
		t.Errorf("%q", line)
	}
}

func TestTapeOfNothing(t *testing.T) {
	good := tapeOfTwo().String()
	for _, change := range [][2]string{
		{good, ""}, {"1.2 s", "early"}, {"# a <story>", "a story"}, {"  +-  ", "  -  "}, {"  +-  ", "  +-+  "}, {"  +-  ", "  ok  "}, {lanesMean, "others"}, {"healthy          ", "healthy "},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if tape, err := ParseTape(text); err == nil {
			t.Errorf("%q was read as %+v", text, tape)
		}
	}
}

func TestPicture(t *testing.T) {
	svg := tapeOfTwo().SVG()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a &lt;story&gt;", "all &amp; sundry", ">dropped<", ">arrives<", "62.5 s", "MergedNotActive", " end<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	for i := range 3 {
		if again := tapeOfTwo().SVG(); again != svg {
			t.Fatalf("drawing %d differs", i)
		}
	}
}

// TestPictureOfTheRecord: the picture in the README is that of the record beside it.
// After a new run of the story, copy out/story.log and out/story.svg there.
func TestPictureOfTheRecord(t *testing.T) {
	root, err := testbed.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "story.log"))
	if err != nil {
		t.Fatal(err)
	}
	tape, err := ParseTape(string(text))
	if err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(root, "docs", "images", "story.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if tape.SVG() != string(svg) {
		t.Error("docs/images/story.svg is not the picture of docs/story.log")
	}
}
