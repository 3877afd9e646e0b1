package content

import "strconv"

// webPushPayload is the plaintext of a Web Push message in the declarative
// shape of the Push API's draft, where title and navigate must be there.
func webPushPayload(m *message) *node {
	if m.text == nil {
		return objectNode().set("data", m.data())
	}
	shown := objectNode().set("title", textNode(m.path()+".title", m.text.Title))
	if link := m.link(); link != nil {
		shown.set("navigate", link)
	} else {
		shown.set("navigate", quoted("/"))
	}
	if m.text.Body != "" {
		shown.set("body", textNode(m.path()+".body", m.text.Body))
	}
	shown.set("lang", quoted(m.language))
	if m.meta.Collapse != "" {
		shown.set("tag", quoted(m.meta.Collapse))
	}
	if image := m.image(); image != nil {
		shown.set("image", image)
	}
	if m.Badge != nil {
		// WebKit alone reads it, as a text.
		shown.set("app_badge", quoted(strconv.Itoa(int(*m.Badge))))
	}
	if len(m.Data) > 0 {
		shown.set("data", m.data())
	}
	return objectNode().set("web_push", rawNode("8030")).set("notification", shown)
}

func checkWebPush(payload *node) error {
	if len(payload.members) == 0 {
		return refuse("message.webpush", "nothing is left of the payload")
	}
	return nil
}
