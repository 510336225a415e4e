// Package webpage has what the pages that switchback writes have in common: each is one file that needs nothing else, may
// be opened by anybody, and shows what came from databases, programs and other people.
package webpage

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
)

// Policy is a content security policy by which a page's own style and its own script, where it has one, are in force, and
// nothing else can be loaded, run or sent.
func Policy(style, script string) string {
	policy := "default-src 'none'; style-src '" + hashOf(style) + "'"
	if script != "" {
		policy += "; script-src '" + hashOf(script) + "'"
	}
	return policy + "; base-uri 'none'; form-action 'none'"
}

// hashOf is a text's hash as a content security policy wants it.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// Plain returns a text without what would steer a terminal or turn the direction of writing: such characters are shown
// as their number. Line breaks and tabs stay.
func Plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029':
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
