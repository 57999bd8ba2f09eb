-- SPDX-License-Identifier: Apache-2.0
-- A state file of schema version 2, as the program of commit fd71564 wrote it: `sqlite3 state.sqlite .dump`, and the header's mark.
PRAGMA application_id=1835952483;
BEGIN TRANSACTION;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('account','111122223333');
INSERT INTO "meta" VALUES('imported','1700000000');
INSERT INTO "meta" VALUES('region','eu-central-1');
INSERT INTO "meta" VALUES('schema','2');
CREATE TABLE objects (sequence INTEGER PRIMARY KEY, id TEXT NOT NULL, kind INTEGER NOT NULL, body TEXT NOT NULL);
INSERT INTO "objects" VALUES(1,'tmt-0123456789abcdef0',0,'{"address":"eni-c","description":"collector","owner":"111122223333","type":0}');
INSERT INTO "objects" VALUES(2,'tmf-0123456789abcdef0',1,'{"amazon_dns":true,"description":"all, \"quoted\" ü€𝄞","tags":{"Name":"all","aws:stack":"s"}}');
INSERT INTO "objects" VALUES(3,'tmt-1123456789abcdef0',0,'{"address":"arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/m/50dc6c495c0c9188","owner":"111122223333","type":1}');
INSERT INTO "objects" VALUES(4,'tmfr-0123456789abcdef0',2,'{"accept":true,"description":"https","destination":"10.0.0.0/8","destination_ports":[443,443],"egress":false,"filter":"tmf-0123456789abcdef0","number":1,"protocol":6,"source":"0.0.0.0/0","source_ports":[0,65535]}');
INSERT INTO "objects" VALUES(5,'tmfr-1123456789abcdef0',2,'{"accept":false,"destination":"::/0","egress":true,"filter":"tmf-0123456789abcdef0","number":32766,"source":"2001:db8::/32"}');
INSERT INTO "objects" VALUES(6,'tmf-1123456789abcdef0',1,'{"amazon_dns":false}');
INSERT INTO "objects" VALUES(7,'tmt-2123456789abcdef0',0,'{"address":"vpce-0123456789abcdef0","owner":"111122223333","tags":{"kind":"endpoint"},"type":2}');
INSERT INTO "objects" VALUES(8,'tms-0123456789abcdef0',3,'{"description":"first","filter":"tmf-0123456789abcdef0","interface":"eni-a","number":1,"owner":"111122223333","packet_length":8500,"tags":{"team":"blue"},"target":"tmt-0123456789abcdef0","vni":77}');
INSERT INTO "objects" VALUES(9,'tms-1123456789abcdef0',3,'{"filter":"tmf-1123456789abcdef0","interface":"eni-b","number":32766,"owner":"111122223333","target":"tmt-1123456789abcdef0","vni":16777215}');
CREATE TABLE tokens (action TEXT NOT NULL, token TEXT NOT NULL, parameters TEXT NOT NULL, reply TEXT NOT NULL, seconds INTEGER NOT NULL, PRIMARY KEY (action, token)) WITHOUT ROWID;
INSERT INTO "tokens" VALUES('CreateTrafficMirrorFilter','token-1','{"Description":"all"}','{"TrafficMirrorFilter":{"TrafficMirrorFilterId":"tmf-0123456789abcdef0"}}',1700000000);
COMMIT;
