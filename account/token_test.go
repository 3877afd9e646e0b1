package account

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func isToken(text string) bool { return hasForm(text, serverPrefix, devicePrefix, installPrefix) }

func TestScannersFindTokens(t *testing.T) {
	pattern := regexp.MustCompile(Pattern)
	rapid.Check(t, func(t *rapid.T) {
		token := mint(rapid.SampledFrom([]string{serverPrefix, devicePrefix, installPrefix}).Draw(t, "prefix")).Reveal()
		found := pattern.FindString("key=\"" + token + "\";")
		if found != token || !isToken(found) {
			t.Fatalf("%q is found as %q", token, found)
		}
		// One wrong character is no token: CRC-32 sees every burst of 32 bits.
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		wrong := []byte(token)
		wrong[at] = rapid.SampledFrom([]byte("0123456789abcdefghjkmnpqrstvwxyz")).Draw(t, "character")
		if string(wrong) != token && isToken(string(wrong)) {
			t.Fatalf("%q passes for %q", wrong, token)
		}
	})
}

func TestTokensDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		token := mint(serverPrefix).Reveal()
		if seen[token] {
			t.Fatal("the same token twice")
		}
		seen[token] = true
	}
}

func TestInstallSecret(t *testing.T) {
	secret, hash := MintInstallSecret()
	other, _ := MintInstallSecret()
	if !VerifyInstallSecret(secret.Reveal(), hash) {
		t.Error("its own secret is refused")
	}
	for what, ok := range map[string]bool{
		"another's":     VerifyInstallSecret(other.Reveal(), hash),
		"empty":         VerifyInstallSecret("", hash),
		"no hash":       VerifyInstallSecret(secret.Reveal(), nil),
		"part of it":    VerifyInstallSecret(secret.Reveal(), hash[:31]),
		"another token": VerifyInstallSecret(mint(serverPrefix).Reveal(), hash),
	} {
		if ok {
			t.Error(what, "is taken")
		}
	}
}

func TestScopes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Scopes(rapid.IntRange(0, 31).Draw(t, "scopes"))
		if have, err := ParseScopes(s.Names()); err != nil || have != s {
			t.Fatal(s.Names(), err)
		}
	})
	if _, err := ParseScopes([]string{"send", "all"}); err == nil {
		t.Error("an unknown scope is taken")
	}
}
