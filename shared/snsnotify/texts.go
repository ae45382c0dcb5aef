package snsnotify

import (
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// words say what is the matter and who does what about it. They are for whoever
// runs the system; what a company's administrator reads on the set-up page is
// in functions/api.
type words struct{ whatZH, mendZH, what, mend string }

// unknown is said of a cause that a later version wrote.
var unknown = words{
	"状态变为一个未知的原因。", "请查看该企业的状态接口与日志。",
	"It is in a state that this version has no words for.", "Look at the company's status and at the logs.",
}

func textOf(h watch.Health) words {
	if w, ok := texts[h]; ok {
		return w
	}
	return unknown
}

var texts = map[watch.Health]words{
	watch.Well: {
		"已恢复正常：消息正在存档并解密。", "无需操作。",
		"All is well: messages are taken in and decoded.", "Nothing needs doing."},
	watch.Off: {
		"存档已被关闭：不再向企业微信拉取。企业微信只保留 5 天。", "若非有意，请在设置页重新启用。",
		"The archive was switched off: WeCom is not asked any more, and keeps messages for 5 days only.", "If nobody meant to, switch it on again on the set-up page."},
	watch.Late: {
		"已超过两天没有拉取到最新，且没有已知原因。", "请按 docs/runbooks.md 的 HoursLeft 一节处理。",
		"Nothing was caught up for more than two days, and no cause is known.", "Follow HoursLeft in docs/runbooks.md."},
	watch.Losing: {
		"已超过 120 小时没有拉取到最新：企业微信可能正在删除未存档的消息。已永久记录。", "请立即按 docs/runbooks.md 的 Losing 一节处理。",
		"Nothing was caught up for 120 hours: WeCom may be deleting messages that are not archived. It is recorded for ever.", "Follow Losing in docs/runbooks.md, now."},
	watch.SetAside: {
		"有消息无法解密，已原样保留。其媒体文件 5 天后会在企业微信过期。", "缺少密钥时：请企业导入该版本的私钥，系统会自动重新解密。其他原因见 docs/runbooks.md 的 SetAside 一节。",
		"Some messages could not be decrypted. They are kept as they are; their media expires at WeCom after 5 days.", "Where a key is missing, the company imports the private key of that version, and they are decoded by themselves. For other reasons follow SetAside in docs/runbooks.md."},

	watch.Health(archive.CauseTrustedIP): {
		"企业微信拒绝了我们的 IP 地址。", "请企业管理员重做第 4 步：把设置页的 IP 地址填入可信IP地址。",
		"WeCom refused our address.", "The company's administrator redoes step 4: enters the addresses of the set-up page as 可信IP."},
	watch.Health(archive.CauseSecret): {
		"企业微信不接受已保存的 Secret：可能填错、已被重置，或应用被停用。", "请企业管理员重做第 2 步。",
		"WeCom does not accept the saved Secret: it is wrong or was reset, or the app is disabled.", "The company's administrator redoes step 2."},
	watch.Health(archive.CauseSecretKind): {
		"已保存的是其他应用的 Secret。", "请企业管理员重做第 2 步，使用会话内容存档页面上的 Secret。",
		"The saved Secret belongs to another app.", "The company's administrator redoes step 2 with the Secret of the 会话内容存档 page."},
	watch.Health(archive.CauseSecretMissing): {
		"尚未保存 Secret。", "请企业管理员完成第 2 步。",
		"No Secret has been saved.", "The company's administrator does step 2."},
	watch.Health(archive.CauseCorpID): {
		"企业微信不认识此企业 ID。", "请核对企业 ID，并以正确的 ID 重新登记。",
		"WeCom does not know this corpid.", "Compare it with WeCom's console and register the right one."},
	watch.Health(archive.CauseExpired): {
		"企业微信的会话内容存档服务已到期。", "请企业续费。已存档的内容不受影响。",
		"The company's 会话内容存档 service has expired.", "The company renews it. What is archived stays readable."},
	watch.Health(archive.CauseNotOpen): {
		"企业微信认为会话内容存档尚未开启。", "请企业管理员重做第 1 步与第 5 步。",
		"WeCom says that 会话内容存档 is not switched on.", "The company's administrator redoes steps 1 and 5."},
	watch.Health(archive.CauseRate): {
		"调用过于频繁，已自动放慢。", "若有其他程序使用同一 Secret，请停掉它们。",
		"WeCom asks us to call less often; we do.", "If other programs use the same Secret, stop them."},
	watch.Health(archive.CauseBudget): {
		"近期被拒绝的 Secret 过多，为避免地址被封，暂缓尝试新的 Secret。", "请检查哪些企业处于 secret_refused，并请其修正；一小时后自动继续。",
		"Too many Secrets were refused lately; new ones wait, so that WeCom does not ban our address.", "See which companies are in secret_refused and have them mend it. It goes on by itself after an hour."},
	watch.Health(archive.CauseNetwork): {
		"无法连接企业微信。", "若多家企业同时出现，请检查 NAT 网关、路由与代理（docs/runbooks.md 的 NatErrors）。",
		"WeCom cannot be reached.", "If several companies are affected, look at the NAT gateway, the routes and the proxy (NatErrors in docs/runbooks.md)."},
	watch.Health(archive.CauseBusy): {
		"企业微信持续繁忙。", "系统会自动重试；请查看企业微信的公告。",
		"WeCom stays busy.", "We try again by ourselves; see whether WeCom has announced anything."},
	watch.Health(archive.CauseTLS): {
		"与企业微信的加密连接无法建立（证书问题）。", "请检查代理是否解密流量，并用 make sdk-check 检查厂商组件查找证书的位置。",
		"No encrypted connection to WeCom can be made (certificates).", "See whether a proxy opens TLS, and with make sdk-check where the vendor's library looks for certificates."},
	watch.Health(archive.CauseLibraryMissing): {
		"厂商组件无法加载。", "请检查 finance-sdk 层，用 make layer 重新放置后部署。",
		"The vendor's library cannot be loaded.", "Look at the finance-sdk layer; put the library in place with make layer and deploy again."},
	watch.Health(archive.CauseLibraryCrash): {
		"厂商组件持续异常退出、无响应或返回异常内容。", "请查看 pull 的日志；必要时换回前一版本的厂商组件（layers/finance-sdk/README.md）。消息不会因此丢失，但要在 120 小时内解决。",
		"The vendor's library keeps crashing, hanging or answering nonsense.", "Look at pull's log; go back to the former version of the library if need be (layers/finance-sdk/README.md). Nothing is lost by it within the 120 hours."},
	watch.Health(archive.CauseBadAnswer): {
		"企业微信的返回内容持续不符合约定。", "请查看 pull 的日志，并把返回码告知开发者。",
		"WeCom's answers keep breaking the agreed form.", "Look at pull's log, and tell the developers the code."},
	watch.Health(archive.CauseRecordTooLarge): {
		"有单条记录无法获取，正在逐条跳过。", "无需操作；无法获取的记录会在台账中记为缺口。",
		"A single record cannot be fetched and is being passed.", "Nothing needs doing; what cannot be fetched becomes a gap in the ledger."},
	watch.Health(archive.CauseUnknownResponse): {
		"企业微信持续返回未知的错误码。", "请查看错误码的官方说明，并告知开发者。",
		"WeCom keeps answering with an unknown code.", "Look the code up in WeCom's documents, and tell the developers."},
}
