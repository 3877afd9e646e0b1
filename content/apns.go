package content

import "strconv"

// apnsPayload is the whole body of an APNs request (Apple: Generating a remote
// notification). Custom keys stand beside aps, never inside.
func apnsPayload(m *message) *node {
	aps := objectNode()
	payload := objectNode().set("aps", aps)
	if m.text != nil {
		aps.set("alert", m.words())
	}
	if m.Badge != nil {
		aps.set("badge", rawNode(strconv.Itoa(int(*m.Badge))))
	}
	if m.Sound != "" {
		aps.set("sound", textNode("message.sound", m.Sound))
	}
	if m.text == nil && m.Badge == nil && m.Sound == "" {
		aps.set("content-available", rawNode("1"))
	}
	if link := m.link(); link != nil {
		payload.set("link", link)
	}
	if image := m.image(); image != nil {
		// The app's service extension fetches the image, and is called only so.
		aps.set("mutable-content", rawNode("1"))
		payload.set("image", image)
	}
	if len(m.Data) > 0 {
		payload.set("data", m.data())
	}
	return payload
}

func checkAPNs(payload *node) error {
	aps := payload.get("aps")
	if aps == nil || aps.kind != object {
		return refuse("message.apns.aps", "want a JSON object")
	}
	if len(aps.members) == 0 {
		return refuse("message.apns.aps", "nothing is left in it")
	}
	if isBackground(payload) && aps.get("content-available") == nil {
		return refuse("message.apns.aps", "without alert, badge and sound it needs content-available: 1")
	}
	return nil
}

// isBackground: nothing in the payload is shown or heard.
func isBackground(payload *node) bool {
	aps := payload.get("aps")
	return aps.get("alert") == nil && aps.get("badge") == nil && aps.get("sound") == nil
}
