package integration

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// browser is a page in a headless Chromium, with what it complained about and what it asked the network for.
type browser struct {
	ctx context.Context

	mu       sync.Mutex
	problems []string
	requests []string
}

// chromium finds the browser. It is needed: without it the test fails.
func chromium(t *testing.T) string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.FailNow(t, "no Chromium: install it with apt-get install chromium")
	return ""
}

func openBrowser(t *testing.T) *browser {
	ctx, stop := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(chromedp.ExecPath(chromium(t)), chromedp.NoSandbox))
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	b := &browser{ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	call(t, b, network.Enable, network.EnableParams{})
	call(t, b, log.Enable, cdp.Empty{})
	call(t, b, runtime.Enable, cdp.Empty{})
	return b
}

// call sends a command of the browser's protocol.
func call[P, R any](t *testing.T, b *browser, command cdp.Command[P, R], parameters P) {
	t.Helper()
	_, err := chromedp.Call(b.ctx, command, parameters)
	require.NoError(t, err)
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *log.EventEntryAdded:
		b.problems = append(b.problems, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console: %v", e.Type))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	}
}

// noticed are what the browser complained about and what it loaded so far.
func (b *browser) noticed() (problems, requests []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.problems), slices.Clone(b.requests)
}

func (b *browser) run(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b.ctx, steps...))
}

// number evaluates an expression that gives a number.
func (b *browser) number(t *testing.T, expression string) int {
	t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](expression))
	require.NoError(t, err)
	return n
}

// text is the text of the first element that a selector finds.
func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS(selector)))
	require.NoError(t, err)
	return text
}

// do evaluates statements.
func do(statements string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](statements)
}

// wait waits until an expression is true.
func (b *browser) wait(t *testing.T, expression string) {
	t.Helper()
	b.run(t, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(10*time.Second)))
}

// writePage writes a report as a file and gives its URL.
func writePage(t *testing.T, r diff.Report) string {
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	return (&url.URL{Scheme: "file", Path: file}).String()
}

// reportOf is a report of two schemas that differ in that many tables, among them one with a hostile name.
func reportOf(t *testing.T, tables int) diff.Report {
	from, to := &schema.Schema{Name: "public"}, &schema.Schema{Name: "public"}
	to.Tables = append(to.Tables, &schema.Table{Name: "<script>alert(1)</script>", Comment: `a "comment" with 'quotes' & more`, Columns: []*schema.Column{{Name: "id", Type: "bigint"}}})
	for i := range tables {
		name := fmt.Sprintf("table_%05d", i)
		from.Tables = append(from.Tables, &schema.Table{Name: name, Columns: []*schema.Column{{Name: "note", Type: "text"}}})
		to.Tables = append(to.Tables, &schema.Table{Name: name, Columns: []*schema.Column{{Name: "note", Type: "character varying(40)", NotNull: true}}})
	}
	from.Views = []*schema.View{{Name: "adults", Definition: "SELECT name\n  FROM customers\n WHERE age >= 18"}, {Name: "gone", Definition: "SELECT 1"}}
	to.Views = []*schema.View{{Name: "adults", Definition: "SELECT name\n  FROM customers\n WHERE age >= 21"}}
	result, err := diff.Compare(&schema.Database{Schemas: []*schema.Schema{from}}, &schema.Database{Schemas: []*schema.Schema{to}}, diff.Options{})
	require.NoError(t, err)
	return diff.NewReport("staging", "production", result, diff.Options{})
}

const shown = `Array.from(document.querySelectorAll("#changes .object")).filter(o => o.checkVisibility()).length`

// TestReportPage reads the HTML report in a browser.
func TestReportPage(t *testing.T) {
	if testing.Short() {
		return
	}
	page := writePage(t, reportOf(t, 3))

	t.Run("with scripts", func(t *testing.T) {
		b := openBrowser(t)
		b.run(t, chromedp.Navigate(page))
		b.wait(t, `document.getElementById("count").textContent === "6 shown"`)

		require.Equal(t, "public.<script>alert(1)</script>", b.text(t, ".object.add > details > summary .name"))
		require.Equal(t, `comment a "comment" with 'quotes' & more`, b.text(t, ".object.add .short"))

		b.run(t, chromedp.SendKeys(chromedp.CSS("#search"), "AGE 21"))
		b.wait(t, `document.getElementById("count").textContent === "1 of 6 shown"`)
		require.Equal(t, 1, b.number(t, shown))
		b.run(t, chromedp.SendKeys(chromedp.CSS("#search"), "xyz"))
		b.wait(t, `document.getElementById("nothing").checkVisibility()`)
		b.run(t, do(`{const s = document.getElementById("search"); s.value = ""; s.dispatchEvent(new Event("input"))}`))
		b.wait(t, `document.getElementById("count").textContent === "6 shown"`)
		for _, x := range []struct {
			field, value string
			want         int
		}{{"kind", "view", 2}, {"action", "drop", 1}, {"kind", "table", 0}, {"action", "modify", 3}, {"kind", "", 4}} {
			b.run(t, do(fmt.Sprintf(`{const f = document.getElementById(%q); f.value = %q; f.dispatchEvent(new Event("change"))}`, x.field, x.value)))
			require.Equal(t, x.want, b.number(t, shown), "%s %s", x.field, x.value)
		}

		open := `document.querySelectorAll("#changes .object:not([hidden]) > details[open]").length`
		b.run(t, chromedp.Click(chromedp.CSS("#collapse")))
		require.Equal(t, 0, b.number(t, open))
		b.run(t, chromedp.Click(chromedp.CSS("#expand")))
		require.Equal(t, 4, b.number(t, open))
		b.run(t, chromedp.Click(chromedp.CSS("#collapse")), chromedp.Focus(chromedp.CSS(".object.modify summary")), chromedp.KeyEvent("\r"))
		require.Equal(t, 1, b.number(t, open), "the keyboard opens a section")

		problems, requests := b.noticed()
		require.Empty(t, problems)
		require.Equal(t, []string{page}, requests, "nothing but the page itself is loaded")
	})

	t.Run("without scripts", func(t *testing.T) {
		b := openBrowser(t)
		call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		b.run(t, chromedp.Navigate(page))
		require.Equal(t, 6, b.number(t, shown))
		require.Equal(t, 0, b.number(t, `document.querySelector(".controls").checkVisibility() ? 1 : 0`), "no search without scripts")
		body := `document.querySelector(".object.modify .body").checkVisibility() ? 1 : 0`
		require.Equal(t, 1, b.number(t, body))
		b.run(t, chromedp.Click(chromedp.CSS(".object.modify summary .name")))
		require.Equal(t, 0, b.number(t, body), "a section closes")
		b.run(t, chromedp.Click(chromedp.CSS(".object.modify summary .name")))
		require.Equal(t, 1, b.number(t, body), "a section opens")
		_, requests := b.noticed()
		require.Equal(t, []string{page}, requests)
	})

	t.Run("printed", func(t *testing.T) {
		b := openBrowser(t)
		call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		b.run(t, chromedp.Navigate(writePage(t, reportOf(t, 100))))
		visible := `Array.from(document.querySelectorAll("#changes .object .body")).filter(x => x.getBoundingClientRect().height > 0 && x.checkVisibility({contentVisibilityAuto: false})).length`
		require.Equal(t, 0, b.number(t, visible), "a long report is folded")
		call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
		require.Equal(t, 103, b.number(t, visible), "and printed unfolded")
	})
}

// TestReportPageOfManyChanges searches among 10,000 changed tables.
func TestReportPageOfManyChanges(t *testing.T) {
	if testing.Short() {
		return
	}
	page := writePage(t, reportOf(t, 10000))
	b := openBrowser(t)
	began := time.Now()
	b.run(t, chromedp.Navigate(page))
	b.wait(t, `document.getElementById("count").textContent === "10003 shown"`)
	loaded := time.Since(began)
	began = time.Now()
	b.run(t, chromedp.SendKeys(chromedp.CSS("#search"), "table_09999"))
	b.wait(t, `document.getElementById("count").textContent === "1 of 10003 shown"`)
	t.Logf("loaded in %v, searched in %v", loaded.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	require.Equal(t, 1, b.number(t, shown))
	require.Less(t, loaded, 20*time.Second)
	problems, _ := b.noticed()
	require.Empty(t, problems)
}

// TestReportPageFits looks for what sticks out of the page, at two widths, and keeps pictures of it in the
// folder that SWITCHBACK_TEST_PICTURES names.
func TestReportPageFits(t *testing.T) {
	if testing.Short() {
		return
	}
	page := writePage(t, reportOf(t, 3))
	golden, err := filepath.Abs("../diff/testdata/report.html")
	require.NoError(t, err)
	for name, address := range map[string]string{"plain": page, "everything": (&url.URL{Scheme: "file", Path: golden}).String()} {
		for _, width := range []int64{1280, 420} {
			for _, scheme := range []string{"light", "dark"} {
				t.Run(fmt.Sprintf("%s %d %s", name, width, scheme), func(t *testing.T) {
					b := openBrowser(t)
					call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
					b.run(t, chromedp.EmulateViewport(width, 900), chromedp.Navigate(address))
					picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
					require.NoError(t, err)
					require.LessOrEqual(t, b.number(t, `document.documentElement.scrollWidth`), int(width), "the page scrolls sideways")
					problems, _ := b.noticed()
					require.Empty(t, problems)
					if folder := os.Getenv("SWITCHBACK_TEST_PICTURES"); folder != "" {
						require.NoError(t, os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), picture, 0o600))
					}
				})
			}
		}
	}
}
