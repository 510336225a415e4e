// Command picture turns what a command prints into an SVG picture of a terminal, for the README:
//
//	switchback demo | go run ./docs/picture > docs/demo.svg
package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Sizes, in pixels, of a monospaced font.
const (
	fontSize   = 13
	charWidth  = 7.83
	lineHeight = 18
	margin     = 18
)

func main() {
	if err := draw(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func draw(in io.Reader, out io.Writer) error {
	var lines []string
	width := 0
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		line := strings.TrimRight(scanner.Text(), " ")
		lines = append(lines, line)
		width = max(width, utf8.RuneCountInString(line))
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	w, h := float64(width)*charWidth+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="%d">`+"\n", w, h, fontSize)
	fmt.Fprintf(out, `<rect width="100%%" height="100%%" rx="8" fill="#14181f"/>`+"\n")
	for i, line := range lines {
		var text strings.Builder
		if err := xml.EscapeText(&text, []byte(line)); err != nil {
			return err
		}
		fmt.Fprintf(out, `<text x="%d" y="%d" xml:space="preserve" fill="%s">%s</text>`+"\n", margin, margin+(i+1)*lineHeight-5, color(line), text.String())
	}
	_, err := fmt.Fprintln(out, "</svg>")
	return err
}

// color tells forward from back, and both from what is said about them.
func color(line string) string {
	switch {
	case strings.Contains(line, "▸"):
		return "#9fdcae"
	case strings.Contains(line, "◂"):
		return "#f2c078"
	case strings.Contains(line, "✗"):
		return "#ff8f8f"
	case strings.Contains(line, "·"):
		return "#7d8796"
	}
	return "#e6e9ef"
}
