package snsnotify

import (
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// words describe a health and its remedy, for the operators of the system. The
// texts that a company's administrator reads on the set-up page are in
// functions/api.
type words struct{ whatZH, remedyZH, what, remedy string }

// unknown describes a health that a later version stored.
var unknown = words{
	"状态变为一个未知的原因。", "请查看该企业的状态接口与日志。",
	"The company is in a state that this version cannot describe.", "Read the company's status and the logs.",
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
		"Recovered: messages are archived and decoded.", "No action is needed."},
	watch.Off: {
		"存档已被关闭：不再向企业微信拉取。企业微信只保留 5 天。", "若非有意，请在设置页重新启用。",
		"The archive was switched off: messages are no longer pulled from WeCom, which keeps them for 5 days only.", "If this was not intended, switch the archive on again on the set-up page."},
	watch.Late: {
		"已超过两天没有拉取到最新，且没有已知原因。", "请按 docs/runbooks.md 的 HoursLeft 一节处理。",
		"The company was not caught up for more than two days, and no cause is known.", "Follow HoursLeft in docs/runbooks.md."},
	watch.Losing: {
		"已超过 120 小时没有拉取到最新：企业微信可能正在删除未存档的消息。已永久记录。", "请立即按 docs/runbooks.md 的 Losing 一节处理。",
		"The company was not caught up for 120 hours: WeCom may be deleting messages that are not archived. The loss is recorded permanently.", "Follow Losing in docs/runbooks.md now."},
	watch.SetAside: {
		"有消息无法解密，已原样保留。其媒体文件 5 天后会在企业微信过期。", "缺少密钥时：请企业导入该版本的私钥，系统会自动重新解密。其他原因见 docs/runbooks.md 的 SetAside 一节。",
		"Some messages could not be decrypted. They are kept unchanged. WeCom deletes their media after 5 days.", "If a key is missing, the company imports the private key of that version; the messages are then decoded automatically. For other reasons follow SetAside in docs/runbooks.md."},

	watch.Health(archive.CauseTrustedIP): {
		"企业微信拒绝了我们的 IP 地址。", "请企业管理员重做第 4 步：把设置页的 IP 地址填入可信IP地址。",
		"WeCom refused our address.", "The company's administrator repeats step 4 and enters the addresses of the set-up page as 可信IP."},
	watch.Health(archive.CauseSecret): {
		"企业微信不接受已保存的 Secret：可能填错、已被重置，或应用被停用。", "请企业管理员重做第 2 步。",
		"WeCom does not accept the saved Secret: it is wrong or was reset, or the app is disabled.", "The company's administrator repeats step 2."},
	watch.Health(archive.CauseSecretKind): {
		"已保存的是其他应用的 Secret。", "请企业管理员重做第 2 步，使用会话内容存档页面上的 Secret。",
		"The saved Secret belongs to another app.", "The company's administrator repeats step 2 with the Secret of the 会话内容存档 page."},
	watch.Health(archive.CauseSecretMissing): {
		"尚未保存 Secret。", "请企业管理员完成第 2 步。",
		"No Secret has been saved.", "The company's administrator does step 2."},
	watch.Health(archive.CauseCorpID): {
		"企业微信不认识此企业 ID。", "请核对企业 ID，并以正确的 ID 重新登记。",
		"WeCom does not know this corpid.", "Compare it with WeCom's console and register the right one."},
	watch.Health(archive.CauseExpired): {
		"企业微信的会话内容存档服务已到期。", "请企业续费。已存档的内容不受影响。",
		"The company's 会话内容存档 service has expired.", "The company renews the service. Archived messages stay readable."},
	watch.Health(archive.CauseNotOpen): {
		"企业微信认为会话内容存档尚未开启。", "请企业管理员重做第 1 步与第 5 步。",
		"WeCom reports that 会话内容存档 is not switched on.", "The company's administrator repeats steps 1 and 5."},
	watch.Health(archive.CauseRate): {
		"调用过于频繁，已自动放慢。", "若有其他程序使用同一 Secret，请停掉它们。",
		"WeCom limits the rate of calls. We call less often now.", "If other programs use the same Secret, stop them."},
	watch.Health(archive.CauseBudget): {
		"近期被拒绝的 Secret 过多，为避免地址被封，暂缓尝试新的 Secret。", "请检查哪些企业处于 secret_refused，并请其修正；一小时后自动继续。",
		"Too many Secrets were refused recently. New Secrets are not tried for now, so that WeCom does not ban our address.", "Ask the companies in secret_refused to repeat step 2. New Secrets are tried again after an hour."},
	watch.Health(archive.CauseShare): {
		"该企业近期被拒绝的 Secret 过多，暂缓尝试其新的 Secret。", "请企业管理员重做第 2 步并核对 Secret；到时自动继续。",
		"Too many Secrets of this company were refused recently. Its next Secret is not tried for now.", "The company's administrator repeats step 2 and compares the Secret with WeCom's console. The Secret is tried automatically when the pause is over."},
	watch.Health(archive.CauseNetwork): {
		"无法连接企业微信。", "若多家企业同时出现，请检查 NAT 网关、路由与代理（docs/runbooks.md 的 NatErrors）。",
		"WeCom cannot be reached.", "If several companies are affected, check the NAT gateway, the routes and the proxy (NatErrors in docs/runbooks.md)."},
	watch.Health(archive.CauseBusy): {
		"企业微信持续繁忙。", "系统会自动重试；请查看企业微信的公告。",
		"WeCom stays busy.", "The system tries again automatically. Read WeCom's announcements."},
	watch.Health(archive.CauseTLS): {
		"与企业微信的加密连接无法建立（证书问题）。", "请检查代理是否解密流量，并用 make sdk-check 检查厂商组件查找证书的位置。",
		"No encrypted connection to WeCom is possible (certificates).", "Check whether a proxy decrypts the traffic. Find out with make sdk-check where the vendor's library looks for certificates."},
	watch.Health(archive.CauseLibraryMissing): {
		"厂商组件无法加载。", "请检查 finance-sdk 层，用 make layer 重新放置后部署。",
		"The vendor's library cannot be loaded.", "Check the finance-sdk layer. Put the library in place with make layer and deploy again."},
	watch.Health(archive.CauseLibraryCrash): {
		"厂商组件持续异常退出、无响应或返回异常内容。", "请查看 pull 的日志；必要时换回前一版本的厂商组件（layers/finance-sdk/README.md）。消息不会因此丢失，但要在 120 小时内解决。",
		"The vendor's library keeps crashing, hanging or giving malformed answers.", "Read the log of pull. If necessary return to the earlier version of the library (layers/finance-sdk/README.md). No message is lost if this is fixed within 120 hours."},
	watch.Health(archive.CauseBadAnswer): {
		"企业微信的返回内容持续不符合约定。", "请查看 pull 的日志，并把返回码告知开发者。",
		"WeCom's answers keep breaking the agreed form.", "Read the log of pull, and send the code to the developers."},
	watch.Health(archive.CauseRecordTooLarge): {
		"有单条记录无法获取，正在逐条跳过。", "无需操作；无法获取的记录会在台账中记为缺口。",
		"A single record cannot be fetched. The records after it are searched one by one.", "No action is needed. The ledger records a gap for what cannot be fetched."},
	watch.Health(archive.CauseUnknownResponse): {
		"企业微信持续返回未知的错误码。", "请查看错误码的官方说明，并告知开发者。",
		"WeCom keeps answering with an unknown code.", "Look the code up in WeCom's documents, and send it to the developers."},
}
