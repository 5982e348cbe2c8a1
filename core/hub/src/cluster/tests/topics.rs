//! What is published.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_published_at_one_hub_reaches_all_once() {
    let (_, hubs) = hubs::<3>(LETTER_BYTES).await;
    let mut readers = Vec::new();
    for hub in &hubs {
        let session = session(hub);
        let (sink, deliveries) = session.sink(Policy::DropOldest);
        session.subscribe("home/#", &sink).unwrap();
        readers.push((session, deliveries));
    }
    let publisher = session(&hubs[0]);
    for number in 0..100 {
        let publish = Publish::new("home/lamp", number.to_string()).header("n", "v");
        publisher.publish(publish).await.unwrap();
    }
    for (_, deliveries) in &mut readers {
        for number in 0..100 {
            let delivery = deliveries.recv().await.unwrap();
            assert_eq!(delivery.message.payload, number.to_string());
            assert_eq!(delivery.message.headers, [("n".into(), "v".into())]);
        }
        let more = tokio::time::timeout(Duration::from_secs(10), deliveries.recv()).await;
        assert!(more.is_err(), "nothing comes twice");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_hub_has_no_room_for_is_told_to_none() {
    let bus = Arc::new(BusOnly {
        payload_bytes_max: LETTER_BYTES,
        ..BusOnly::default()
    });
    let engine: Arc<dyn Engine> = bus;
    let mut config = HubConfig::default();
    config.retained.messages = 1;
    let full = Hub::joined(config, &engine).await.unwrap();
    let roomy = Hub::joined(HubConfig::default(), &engine).await.unwrap();
    let (publisher, reader) = (session(&full), session(&roomy));
    let (sink, mut deliveries) = reader.sink(Policy::DropOldest);
    reader.subscribe("home/#", &sink).unwrap();
    let retain =
        |topic: &'static str, payload: &'static str| publisher.publish(Publish::new(topic, payload).retain());
    retain("home/one", "on").await.unwrap();
    let refused = retain("home/two", "on").await.unwrap_err();
    assert!(!refused.message().is_empty());
    // There is room for another value of the same topic, and to take away.
    retain("home/one", "off").await.unwrap();
    retain("home/two", "").await.unwrap();
    for (topic, payload) in [("home/one", "on"), ("home/one", "off"), ("home/two", "")] {
        let delivery = deliveries.recv().await.unwrap();
        assert_eq!(
            (&**delivery.topic(), &*delivery.message.payload),
            (topic, payload.as_bytes())
        );
    }
}
